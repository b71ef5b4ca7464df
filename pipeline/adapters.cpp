#include "pipeline/adapters.hpp"

#include <fmt/format.h>

#include "core/error.hpp"
#include "pipeline/engine.hpp"
#include "pipeline/model_loader.hpp"

namespace talaria::pipeline {

void load_adapters(const std::vector<AdapterFolder>& folders, EngineOptions& options) {
  if (folders.empty()) return;
  if (!options.model)
    options.model = std::make_shared<const ModelLoader>(options.model_dir, options.weights,
                                                        options.model_sha256, options.task);
  for (const auto& [name, folder] : folders)
    options.adapters.push_back(std::make_shared<const model::Adapter>(
        name, folder, options.model->plan(), options.model->tensors()));
}

model::AdapterPtr named_adapter(const model::AdapterSet& adapters, std::string_view name) {
  if (auto found = adapters.find(name)) return found;
  std::string known;
  for (const auto& each : adapters.all()) known += (known.empty() ? "" : ", ") + each->name();
  throw Error(Errc::usage, fmt::format("no adapter is called {}; {}", name,
                                       known.empty() ? "there is none" : "there is: " + known));
}

void take_adapter(const model::AdapterSet& adapters, Request& request) {
  if (!adapters.contains(request.adapter.get()))
    throw Error(Errc::usage, "the adapter of the request is none of this engine's");
  if (request.owner.empty()) return;
  request.owner += '\0'; // no owner's name has one
  request.owner += to_hex(request.adapter->digest());
}

} // namespace talaria::pipeline
