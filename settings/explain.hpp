#pragma once

#include <string>
#include <vector>

#include "settings/resolve.hpp"

namespace talaria::settings {

/// What a setting is, and why.
struct Explanation {
  std::string key;   ///< "pipeline.max_rows", "workers[0].name"
  std::string value; ///< as it would stand in a file; empty: not set
  Source source = Source::standard;
  std::string where;   ///< "pipeline.yaml:3:5", "TALARIA_THREADS", "--threads", "default"
  config::Position at; ///< in the file
};

/// Every setting of table(), in its order, the entries of `workers:` key by key. Keys of files are
/// named by their paths; no file is opened.
std::vector<Explanation> explain(const Resolved& resolved);

/// A line for each, in three columns.
std::string to_text(const std::vector<Explanation>& rows);

} // namespace talaria::settings
