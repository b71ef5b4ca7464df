#pragma once

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/integers.hpp"
#include "tests/support/models.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::tests {

/// A folder with certificates and a pipeline.yaml for talaria-tiny. `bin` is where the programs
/// are.
class Site {
public:
  explicit Site(const std::filesystem::path& bin) {
    const auto made = run_program({(bin / "talaria").string(), "certs", "init",
                                   (folder_.path() / "certs").string(), "--hosts", "127.0.0.1"});
    BOOST_TEST_REQUIRE(made.status == 0, made.err);
  }
  std::filesystem::path operator/(const std::string& name) const { return folder_.path() / name; }
  /// `workers`: lines of worker_line(); `more`: any other lines.
  std::string write_pipeline(const std::string& workers, const std::string& more = {}) const {
    std::ofstream out(folder_.path() / "pipeline.yaml");
    out << "model: " << model_folder("talaria-tiny").string() << "\nworkers:\n"
        << workers << "tls: { ca: certs/ca.pem, cert: certs/enclave.pem, key: certs/enclave.key }\n"
        << "hints: { cache: hints }\n"
        << more;
    return (folder_.path() / "pipeline.yaml").string();
  }
  std::vector<std::string> worker_arguments(std::vector<std::string> more = {}) const {
    std::vector<std::string> words{"--model",   model_folder("talaria-tiny").string(),
                                   "--threads", "1",
                                   "--cert",    (folder_.path() / "certs/127.0.0.1.pem").string(),
                                   "--key",     (folder_.path() / "certs/127.0.0.1.key").string(),
                                   "--ca",      (folder_.path() / "certs/ca.pem").string()};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

private:
  TemporaryFolder folder_;
};

inline std::string worker_line(const std::string& name, u16 port, const std::string& more) {
  return "  - { name: " + name + ", address: 127.0.0.1:" + std::to_string(port) + ", " + more +
         " }\n";
}

} // namespace talaria::tests
