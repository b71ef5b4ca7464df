// What is in each program: the libraries that the loader brings and the symbols that the linker
// kept. What is attested holds no attack, no operator's command and no key of an authority
// (docs/adr/0013-four-programs.md).
#include <algorithm>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/process.hpp"

namespace talaria {

namespace {

namespace data = boost::unit_test::data;

/// Something that belongs into few programs, and how it is recognised there.
struct Part {
  const char* name;
  std::vector<std::string> libraries; ///< beginnings of their file names; any of them
  std::vector<std::string> symbols;   ///< in demangled names; any of them
  const char* holder;                 ///< a program that has it; null: only a benchmark has
};

const Part kAttacks{"attacks", {}, {"talaria::audit::"}, "talaria-audit"};
const Part kLattices{"fplll", {"libfplll.so"}, {"fplll::"}, "talaria-audit"};
const Part kBigNumbers{"GMP, MPFR", {"libgmp.so", "libmpfr.so"}, {}, "talaria-audit"};
const Part kMatrices{"Eigen", {}, {"Eigen::"}, "talaria-audit"};
const Part kEstimator{"the estimator", {}, {"talaria::estimator::"}, "talaria"};
const Part kBench{
    "talaria bench", {}, {"talaria::cli::add_bench_command", "talaria::cli::tune("}, "talaria"};
const Part kBenchmarks{"Google Benchmark", {"libbenchmark.so"}, {"benchmark::"}, nullptr};
const Part kLauncher{"the launcher (ssh)", {}, {"talaria::launch::"}, "talaria"};
const Part kAuthority{
    "the certificate authority", {}, {"talaria::transport::create_certificates"}, "talaria"};
const Part kOperator{"the operator's commands",
                     {},
                     {"talaria::cli::add_run_command", "talaria::cli::add_launch_command",
                      "talaria::cli::add_certs_command", "talaria::cli::add_prepare_command"},
                     "talaria"};
const Part kGateway{
    "the gateway", {"libprometheus-cpp"}, {"talaria::gateway::HttpServer"}, "talaria-enclave"};
const Part kEngine{
    "the engine",
    {},
    {"talaria::pipeline::Engine", "talaria::remo::MaskPool", "talaria::model::Tokenizer"},
    "talaria-enclave"};
const Part kEnclaveKernels{"the enclave's kernels",
                           {},
                           {"talaria::kernels::reference::attend",
                            "talaria::kernels::reference::mask_row",
                            "talaria::kernels::reference::ntt_forward8"},
                           "talaria-enclave"};

/// A program and what must not be in it.
struct Rule {
  const char* program;
  const Part* part;
};
std::ostream& operator<<(std::ostream& out, const Rule& rule) {
  return out << rule.program << " without " << rule.part->name;
}

std::vector<Rule> rules() {
  std::vector<Rule> out;
  const std::vector<const Part*> attacks{&kAttacks, &kLattices, &kBigNumbers, &kMatrices};
  for (const Part* part : attacks)
    for (const char* program : {"talaria", "talaria-enclave", "talaria-worker"})
      out.push_back({program, part});
  for (const Part* part : {&kEstimator, &kBench, &kBenchmarks, &kLauncher, &kAuthority, &kOperator})
    for (const char* program : {"talaria-enclave", "talaria-worker"})
      out.push_back({program, part});
  for (const Part* part : {&kGateway, &kEngine, &kEnclaveKernels})
    out.push_back({"talaria-worker", part});
  out.push_back({"talaria", &kBenchmarks});
  return out;
}

std::vector<std::string> lines_of(const std::vector<std::string>& command) {
  const auto done = tests::run_program(command);
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  std::vector<std::string> lines;
  std::istringstream text(done.out);
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  BOOST_TEST_REQUIRE(!lines.empty(), command.at(0) << " found nothing");
  return lines;
}

std::string path_of(const std::string& program) {
  return std::string(TALARIA_BIN "/") + program;
}

/// File names of all libraries, those of libraries among them.
std::vector<std::string> libraries_of(const std::string& program) {
  std::vector<std::string> names;
  for (const std::string& line : lines_of({"/usr/bin/ldd", path_of(program)})) {
    const std::string word = line.substr(line.find_first_not_of(" \t"));
    names.push_back(word.substr(0, word.find(' ')));
  }
  return names;
}

/// Demangled names.
std::vector<std::string> symbols_of(const std::string& program) {
  constexpr std::size_t kAddressAndType = 19; // "0000000000012345 T "
  std::vector<std::string> names;
  for (const std::string& line : lines_of({TALARIA_NM, "-C", "--defined-only", path_of(program)}))
    if (line.size() > kAddressAndType) names.push_back(line.substr(kAddressAndType));
  return names;
}

/// The first few traces of a part.
std::vector<std::string> traces_of(const Part& part, const std::string& program) {
  constexpr std::size_t kShown = 5;
  std::vector<std::string> found;
  for (const std::string& library : libraries_of(program))
    for (const std::string& begin : part.libraries)
      if (library.starts_with(begin)) found.push_back(library);
  for (const std::string& symbol : symbols_of(program))
    for (const std::string& name : part.symbols)
      if (found.size() < kShown && symbol.find(name) != std::string::npos) found.push_back(symbol);
  return found;
}

} // namespace

BOOST_DATA_TEST_CASE(a_program_holds_nothing_that_belongs_into_others, data::make(rules()), rule) {
  for (const std::string& trace : traces_of(*rule.part, rule.program))
    BOOST_ERROR(rule << ": found " << trace);
}

// What no program has is found in none: the rules above must be able to fail.
BOOST_AUTO_TEST_CASE(each_part_is_recognised_where_it_belongs) {
  for (const Rule& rule : rules()) {
    const Part& part = *rule.part;
    if (part.holder == nullptr) continue;
    const auto traces = traces_of(part, part.holder);
    BOOST_TEST(!traces.empty(), part.name << " is not recognised in " << part.holder);
    const bool has_library = std::any_of(traces.begin(), traces.end(), [](const std::string& t) {
      return t.find(".so") != std::string::npos;
    });
    BOOST_TEST(has_library == !part.libraries.empty(), part.name);
  }
}

} // namespace talaria
