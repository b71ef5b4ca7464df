// Names and paths that mean something to YAML, a shell, systemd or Kubernetes.
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <fstream>

#include "export/kubernetes.hpp"
#include "export/slurm.hpp"
#include "export/systemd.hpp"
#include "tests/export/export_fixture.hpp"
#include "tests/export/read_back.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

namespace bdata = boost::unit_test::data;
using exporting::Json;

namespace {

const std::vector<std::string> kPaths{
    "/srv/a b",    "/srv/$(HOSTNAME)", "/srv/$HOME", "/srv/%h %%",
    "/srv/a'b\"c", "/srv/a: #b",       "/srv/`id`",  "/srv/{{ .Values.name }}",
    "/srv/a\\b",   "/srv/-x; rm *",    "/srv/Grüße", "/home/a:b",
    "/srv/a|b",    "/srv/null"};

exporting::Cluster hostile_cluster(const std::string& path) {
  const std::string quoted = exporting::yaml_scalar(path);
  return tests::cluster_of(
      "model: " + quoted + "\ntls: { ca: " + exporting::yaml_scalar(path + "/ca.pem") +
      ", cert: c.pem, key: c.key }\nserve: { listen: 127.0.0.1:8000, model_name: \"null\" "
      "}\nworkers:\n"
      "  - { name: gateway, address: 10.0.0.1:7600, layers: 0-1 }\n"
      "  - { name: Gateway, address: 10.0.0.1:7601, layers: 2-3 }\n"
      "  - { name: \"1e3\", address: \"[fd00::1]:7600\", layers: 4-5 }\n"
      "  - { name: " +
      std::string(64, '.') + ", address: 10.0.0.4:7600, layers: all, role: replica }\n");
}

/// What systemd makes of a line of ExecStart=, written after systemd.syntax(7) and
/// systemd.service(5).
std::vector<std::string> words_of_unit(const std::string& line) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < line.size();) {
    if (line[i] == ' ') {
      ++i;
      continue;
    }
    std::string word;
    const bool quoted = line[i] == '"';
    for (i += quoted ? 1 : 0; i < line.size() && line[i] != (quoted ? '"' : ' '); ++i) {
      if (line[i] == '\\' && quoted)
        ++i;
      else if ((line[i] == '%' || line[i] == '$') && i + 1 < line.size() && line[i + 1] == line[i])
        ++i;
      else
        BOOST_TEST((line[i] != '%' && line[i] != '$'), line);
      word += line[i];
    }
    i += quoted ? 1 : 0;
    words.push_back(word);
  }
  return words;
}

std::string value_of(const std::string& unit, const std::string& key) {
  const std::size_t at = unit.find("\n" + key + "=") + key.size() + 2;
  return unit.substr(at, unit.find('\n', at) - at);
}

} // namespace

BOOST_DATA_TEST_CASE(manifests_hold_hostile_values_as_they_are, bdata::make(kPaths), path) {
  const auto files = kubernetes_files(hostile_cluster(path), {});
  std::size_t sets = 0;
  for (const auto& file : files) {
    BOOST_TEST((file.path.find("..") == file.path.npos && file.path.front() != '/'), file.path);
    if (!tests::is_yaml(file.path)) continue;
    for (const Json& document : tests::documents_of(file.text)) {
      if (!document.contains("metadata")) continue;
      BOOST_TEST(document["metadata"]["name"].get<std::string>().size() <= 52U);
      sets += document["kind"] == "StatefulSet" ? 1 : 0;
    }
  }
  BOOST_TEST(sets == 5U); // four workers and the gateway: no two of one name
  const auto* values = tests::find_file(files, "chart/values.yaml");
  BOOST_REQUIRE(values != nullptr);
  BOOST_TEST(tests::read_back(values->text)["workers"].size() == 4U);
}

BOOST_DATA_TEST_CASE(units_hold_hostile_paths_as_they_are, bdata::make(kPaths), path) {
  const auto files = systemd_files(hostile_cluster(path), {});
  std::size_t units = 0;
  for (const auto& file : files) {
    if (!file.path.ends_with(".service") || !file.path.starts_with("workers/")) continue;
    const auto words = words_of_unit(value_of(file.text, "ExecStart"));
    const auto model = std::find(words.begin(), words.end(), "--model");
    BOOST_REQUIRE(model != words.end());
    BOOST_TEST(*(model + 1) == path);
    const auto ca = std::find(words.begin(), words.end(), "--ca");
    BOOST_REQUIRE(ca != words.end());
    BOOST_TEST(*(ca + 1) == path + "/ca.pem");
    ++units;
  }
  BOOST_TEST(units == 4U);
}

BOOST_AUTO_TEST_CASE(a_shell_reads_hostile_paths_as_they_are) {
  const tests::TemporaryFolder folder;
  for (const std::string& path : kPaths) {
    const auto files = slurm_files(hostile_cluster(path), {});
    // keep NAME PROGRAM --listen ADDRESS --model PATH
    std::string script = "set -e\nkeep() { printf '%s\\n' \"$6\"; }\n";
    for (const auto& file : files) {
      if (!file.path.starts_with("worker-")) continue;
      const std::size_t at = file.text.find("\nkeep ") + 1;
      script += file.text.substr(at, file.text.find(" &\n", at) - at) + "\n";
    }
    const auto done = tests::run_program({"/bin/bash", "-c", script});
    BOOST_TEST(done.status == 0, done.err);
    BOOST_TEST(done.out == path + "\n" + path + "\n" + path + "\n" + path + "\n");
  }
}

BOOST_AUTO_TEST_CASE(every_script_is_one_that_bash_can_read) {
  const tests::TemporaryFolder folder;
  for (const auto& file : slurm_files(hostile_cluster(kPaths[4]), {})) {
    if (!file.path.ends_with(".sbatch")) continue;
    const auto path = folder.path() / file.path;
    std::ofstream(path) << file.text;
    const auto done = tests::run_program({"/bin/bash", "-n", path.string()});
    BOOST_TEST(done.status == 0, done.err);
  }
}

} // namespace talaria
