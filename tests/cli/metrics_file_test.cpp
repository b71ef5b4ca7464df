#include "cli/worker/metrics_file.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>

#include "core/error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::cli {

BOOST_AUTO_TEST_SUITE(metrics_file)

namespace {

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_CASE(each_enclave_has_its_samples_under_its_name) {
  worker::WorkerLedger ledger;
  Sha256Digest one{};
  Sha256Digest two{};
  one.fill(0x0a);
  two.fill(0xff);
  const auto bytes = std::make_shared<const AlignedBuffer<u8>>(AlignedBuffer<u8>(12));
  remo::MaskedTensor tensor{3, remo::ProductKind::residues, 2, 1, bytes};
  remo::WorkerProduct product;
  product.bytes = bytes;
  ledger.count(one, 500, tensor, product);
  ledger.count(one, 40);
  ledger.count(two, 7);
  transport::WorkerServer::Enclave linked;
  linked.id = two;
  linked.sessions = 2;
  linked.use = {3, 400, 5};
  const std::string text = worker_metrics("gpu \"a\"", ledger, {linked});
  const std::string of_one = R"({worker="gpu \"a\"",enclave="0a0a0a0a0a0a0a0a"})";
  const std::string of_two = R"({worker="gpu \"a\"",enclave="ffffffffffffffff"})";
  for (const std::string& line :
       {"products_total" + of_one + " 1", "rows_total" + of_one + " 2",
        "received_bytes_total" + of_one + " 12", "sent_bytes_total" + of_one + " 12",
        "multiplications_total" + of_one + " 540", "products_total" + of_two + " 0",
        "multiplications_total" + of_two + " 7", "links" + of_two + " 2", "jobs" + of_two + " 3",
        "job_bytes" + of_two + " 400", "held_back_total" + of_two + " 5"})
    BOOST_TEST(has_line(text, "talaria_worker_enclave_" + line), line << " in\n" << text);
  BOOST_TEST(text.find("talaria_worker_enclave_links" + of_one) == std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_file_is_there_at_once_is_whole_and_is_written_a_last_time) {
  const tests::TemporaryFolder folder;
  const auto file = folder.path() / "worker.prom";
  std::atomic<int> times{0};
  {
    const MetricsFile metrics(
        file, [&] { return "times " + std::to_string(++times) + "\n"; }, [](const std::string&) {});
    BOOST_TEST(content(file) == "times 1\n");
  }
  BOOST_TEST(content(file) == "times " + std::to_string(times) + "\n");
  BOOST_TEST(times > 1);
  const auto all = std::filesystem::directory_iterator(folder.path());
  BOOST_TEST(std::distance(begin(all), end(all)) == 1); // nothing half written is left
  using Perms = std::filesystem::perms;
  const bool is_public =
      (std::filesystem::status(file).permissions() & Perms::others_read) != Perms::none;
  BOOST_TEST(is_public);
  BOOST_CHECK_THROW(MetricsFile(folder.path() / "nowhere" / "worker.prom", [] { return ""; }, {}),
                    Error);
}

BOOST_AUTO_TEST_CASE(a_link_in_the_folder_is_replaced_and_not_followed) {
  const tests::TemporaryFolder folder;
  const auto key = folder.path() / "worker.key";
  std::ofstream(key) << "secret";
  for (const char* name : {"worker.prom", "worker.prom.partial"})
    std::filesystem::create_symlink(key, folder.path() / name);
  const MetricsFile metrics(folder.path() / "worker.prom", [] { return "figures"; }, {});
  BOOST_TEST(content(key) == "secret");
  BOOST_TEST(content(folder.path() / "worker.prom") == "figures");
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::cli
