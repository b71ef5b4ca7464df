#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "model/adapter/adapter_set.hpp"
#include "pipeline/request.hpp"

namespace talaria::pipeline {

struct EngineOptions;

/// A PEFT folder, and what requests call it.
struct AdapterFolder {
  std::string name;
  std::filesystem::path folder;
};

/// Reads adapters of the model of `options`, which is opened for it if it is not open already, into
/// EngineOptions::adapters. Nothing happens without folders.
/// @throws Error{model} as model::Adapter and ModelLoader do
void load_adapters(const std::vector<AdapterFolder>& folders, EngineOptions& options);

/// @throws Error{usage} if there is none of this name; the others are named.
model::AdapterPtr named_adapter(const model::AdapterSet& adapters, std::string_view name);

/// Sees to it that a request with an adapter shares computed prefixes with those of the same
/// adapter alone: keys and values are others. @throws Error{usage} for one of another engine
void take_adapter(const model::AdapterSet& adapters, Request& request);

} // namespace talaria::pipeline
