#pragma once

#include <filesystem>
#include <string>

#include "export/cluster.hpp"
#include "settings/resolve.hpp"

namespace talaria::tests {

/// What a file says whose models and certificates are on another machine.
inline config::PipelineConfig config_elsewhere(const std::string& text,
                                               const std::filesystem::path& file) {
  return settings::resolve({file, text, {}, {}, true}).config;
}

/// A cluster whose pipeline.yaml is `text` in /srv/example.
inline exporting::Cluster cluster_of(const std::string& text, const std::string& name = "demo") {
  const std::filesystem::path file = "/srv/example/pipeline.yaml";
  return exporting::make_cluster(config_elsewhere(text, file), text, name);
}

/// One that has `entries` under workers, and what all of them need.
inline exporting::Cluster cluster_with(const std::string& entries, const std::string& more = {}) {
  return cluster_of("model: /srv/model\ntls: { ca: ca.pem, cert: c.pem, key: c.key }\n"
                    "serve: { listen: 127.0.0.1:8000 }\n" +
                    more + "workers:\n" + entries);
}

} // namespace talaria::tests
