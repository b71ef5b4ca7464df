// The guest's side against kernels that are not there: a folder for configfs-tsm, a function for
// ioctl. Rules of the kernel that the code relies on are enforced here.
#include <boost/test/unit_test.hpp>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "attest/endpoint/guest_source.hpp"
#include "attest/evidence/encodings.hpp"
#include "attest/guest/certificate_table.hpp"
#include "attest/guest/sev_guest.hpp"
#include "attest/guest/tsm_report.hpp"
#include "core/error.hpp"
#include "tests/attest/simulation.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace talaria;
namespace fs = std::filesystem;

namespace {

using ReportData = std::array<u8, 64>;

ReportData asked_for(u8 value = 0x42) {
  ReportData data{};
  data.fill(value);
  return data;
}

std::vector<u8> report_over(const ReportData& data, u8 host_data = 0, u32 vmpl = 0) {
  tests::sim::ReportSpec spec;
  spec.vmpl = vmpl;
  spec.report_data = data;
  spec.host_data.fill(host_data);
  return tests::sim::make_report(spec, tests::snp_authority().vcek);
}

std::vector<u8> quote_over(const ReportData& data) {
  tests::sim::QuoteSpec spec;
  spec.report_data = data;
  return tests::sim::make_quote(spec, tests::tdx_authority());
}

/// What the kernel would do to the folder of an entry.
struct FakeKernel {
  tests::TemporaryFolder folder;
  std::string provider = "sev_guest";
  unsigned busy = 0;  ///< so many writes fail first
  unsigned raced = 0; ///< in so many reports another one writes in between
  int read_error = 0; ///< of outblob
  u8 host_data = 0;
  u32 floor = 0;         ///< of privilege levels: another behind an SVSM
  std::vector<u8> table; ///< auxblob
  bool is_mounted = true;
  unsigned entries = 0; ///< that were made
  unsigned generation = 7;

  fs::path root() const { return folder.path() / "report"; }
  std::vector<u8> report(const ReportData& data, u32 level) const {
    return provider == "tdx_guest" ? quote_over(data) : report_over(data, host_data, level);
  }
};

void put(const fs::path& file, attest::Bytes bytes) {
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<long>(bytes.size()));
}

class FakeEntry final : public attest::TsmEntry {
public:
  FakeEntry(FakeKernel& kernel, fs::path folder) : kernel_(kernel), folder_(std::move(folder)) {
    fs::create_directories(folder_);
    put(folder_ / "provider", attest::as_bytes(kernel_.provider + "\n"));
    put(folder_ / "auxblob", kernel_.table);
    if (kernel_.provider != "tdx_guest")
      put(folder_ / "privlevel_floor", attest::as_bytes(std::to_string(kernel_.floor) + "\n"));
    show_generation();
  }
  ~FakeEntry() override { fs::remove_all(folder_); }
  int write(const std::string& attribute, attest::Bytes bytes) override {
    if (attribute == "privlevel") return set_level(bytes);
    if (attribute != "inblob" || bytes.size() > 64) return EINVAL;
    if (kernel_.busy > 0) return --kernel_.busy, EBUSY;
    ++kernel_.generation;
    ReportData data{};
    std::copy(bytes.begin(), bytes.end(), data.begin());
    if (kernel_.raced > 0) { // another process writes its own before we read
      --kernel_.raced;
      ++kernel_.generation;
      data.fill(0x99);
    }
    put(folder_ / "outblob", kernel_.report(data, level_));
    show_generation();
    return 0;
  }
  int read(const std::string& attribute, std::vector<u8>& out) override {
    if (attribute == "outblob" && kernel_.read_error != 0) return kernel_.read_error;
    if (attribute == "outblob" && kernel_.provider == "sev_guest" && level_ < kernel_.floor)
      return EIO; // the firmware refuses
    std::ifstream in(folder_ / attribute, std::ios::binary);
    if (!in) return attribute == "outblob" ? ENXIO : ENOENT;
    out.assign(std::istreambuf_iterator<char>(in), {});
    return 0;
  }

private:
  int set_level(attest::Bytes text) {
    const u32 level = static_cast<u32>(std::stoul(std::string(attest::as_text(text))));
    if (level < kernel_.floor || level > 3) return EINVAL;
    ++kernel_.generation;
    level_ = level;
    show_generation();
    return 0;
  }
  void show_generation() {
    put(folder_ / "generation", attest::as_bytes(std::to_string(kernel_.generation) + "\n"));
  }
  FakeKernel& kernel_;
  const fs::path folder_;
  u32 level_ = 0;
};

class FakeTsm final : public attest::Tsm {
public:
  explicit FakeTsm(FakeKernel& kernel) : kernel_(kernel) {}
  bool is_there() const override { return kernel_.is_mounted; }
  std::unique_ptr<attest::TsmEntry> enter() override {
    return std::make_unique<FakeEntry>(kernel_, kernel_.root() / std::to_string(kernel_.entries++));
  }

private:
  FakeKernel& kernel_;
};

/// Without waiting; counts the waits.
attest::Attempts impatient(std::vector<std::chrono::milliseconds>* waits = nullptr) {
  attest::Attempts attempts;
  attempts.most = 4;
  attempts.first_wait = std::chrono::milliseconds(5);
  attempts.pause = [waits](std::chrono::milliseconds time) {
    if (waits != nullptr) waits->push_back(time);
  };
  return attempts;
}

std::string error_text(const std::function<void()>& work, Errc code = Errc::io) {
  try {
    work();
  } catch (const Error& error) {
    BOOST_TEST((error.code() == code), error.what());
    return error.what();
  }
  return "no error";
}

bool says(const std::string& text, const char* what) {
  return text.find(what) != std::string::npos;
}

/// /dev/sev-guest as Linux has it.
struct FakeDevice {
  unsigned busy = 0;
  std::vector<u8> table; ///< that the host gives
  bool is_empty = false; ///< zeros, and success
  u32 status = 0;        ///< of the firmware
  int opened = 0;
  u8 key = 0x77;
  u64 fields = 0; ///< that a key was asked for

  attest::DeviceCalls calls() {
    attest::DeviceCalls calls;
    calls.open = [this](const fs::path&) { return ++opened, 5; };
    calls.close = [this](int) { --opened; };
    calls.control = [this](int, unsigned long request, void* argument) {
      return control(request, static_cast<u8*>(argument));
    };
    return calls;
  }

private:
  static u64 word(const u8* at) {
    u64 value = 0;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  int control(unsigned long request, u8* call) {
    BOOST_TEST(((request >> 8) & 0xff) == 'S');
    BOOST_TEST(((request >> 16) & 0x3fff) == 32U);
    BOOST_TEST(call[0] == 1); // the version of the message
    if (busy > 0) return --busy, -EAGAIN;
    auto* asked = reinterpret_cast<u8*>(word(call + 8));
    auto* answer = reinterpret_cast<u8*>(word(call + 16));
    if ((request & 0xff) == 1) return give_key(asked, answer);
    BOOST_TEST((request & 0xff) == 2U);
    return give_report(asked, answer, call + 24);
  }
  int give_key(const u8* asked, u8* answer) {
    fields = word(asked + 8);
    std::memset(answer, 0, 64);
    std::memcpy(answer, &status, 4);
    std::memset(answer + 32, key, 32);
    return 0;
  }
  int give_report(u8* asked, u8* answer, u8* errors) {
    u32 room = 0;
    std::memcpy(&room, asked + 104, 4);
    if (room < table.size()) {
      const auto needed = static_cast<u32>(table.size());
      const u32 too_small = 1;
      std::memcpy(asked + 104, &needed, 4);
      std::memcpy(errors + 4, &too_small, 4);
      return -EIO;
    }
    auto* certificates = reinterpret_cast<u8*>(word(asked + 96));
    if (!table.empty()) {
      BOOST_TEST(word(asked + 96) % 4096 == 0U);
      std::copy(table.begin(), table.end(), certificates);
    }
    ReportData data{};
    std::memcpy(data.data(), asked, data.size());
    const auto report = report_over(data);
    const auto size = static_cast<u32>(report.size());
    std::memset(answer, 0, 4000);
    std::memcpy(answer, &status, 4);
    std::memcpy(answer + 4, &size, 4);
    if (!is_empty) std::copy(report.begin(), report.end(), answer + 32);
    return 0;
  }
};

/// A host's table with these entries behind each other.
std::vector<u8> table_of(const std::vector<std::pair<std::string, std::vector<u8>>>& entries) {
  std::vector<u8> table((entries.size() + 1) * 24);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto guid = attest::from_hex(entries[i].first).value();
    constexpr std::size_t kOrder[] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    for (std::size_t b = 0; b < 16; ++b) table[i * 24 + kOrder[b]] = guid[b];
    const auto offset = static_cast<u32>(table.size());
    const auto length = static_cast<u32>(entries[i].second.size());
    std::memcpy(table.data() + i * 24 + 16, &offset, 4);
    std::memcpy(table.data() + i * 24 + 20, &length, 4);
    table.insert(table.end(), entries[i].second.begin(), entries[i].second.end());
  }
  return table;
}

const std::string kVcek = "63da758de6644564adc5f4b93be8accd";
const std::string kAsk = "4ab7b379bbac4fe4a02f05aef327c782";

attest::GuestOptions options_of(FakeKernel& kernel) {
  attest::GuestOptions options;
  options.root = kernel.folder.path();
  options.tsm = std::make_unique<FakeTsm>(kernel);
  options.attempts = impatient();
  return options;
}

} // namespace

BOOST_AUTO_TEST_SUITE(guests)

BOOST_AUTO_TEST_CASE(a_report_comes_by_configfs_and_its_entry_goes) {
  FakeKernel kernel;
  kernel.table = table_of({{kVcek, {1, 2, 3}}});
  FakeTsm tsm(kernel);
  const auto made = attest::request_report(tsm, asked_for(), impatient());
  BOOST_TEST(made.provider == "sev_guest");
  BOOST_TEST((attest::parse_snp_report(made.report)->report_data == asked_for()));
  BOOST_TEST((made.auxiliary == kernel.table));
  BOOST_TEST(kernel.entries == 1U);
  BOOST_TEST(fs::is_empty(kernel.root()));
}

BOOST_AUTO_TEST_CASE(a_report_that_somebody_else_wrote_into_is_asked_for_again) {
  FakeKernel kernel;
  kernel.raced = 2;
  FakeTsm tsm(kernel);
  std::vector<std::chrono::milliseconds> waits;
  const auto made = attest::request_report(tsm, asked_for(), impatient(&waits));
  BOOST_TEST((attest::parse_snp_report(made.report)->report_data == asked_for()));
  using std::chrono::milliseconds;
  BOOST_TEST((waits == std::vector<milliseconds>{milliseconds(5), milliseconds(10)}));
  kernel.raced = 100;
  const std::string text =
      error_text([&] { attest::request_report(tsm, asked_for(), impatient()); });
  BOOST_TEST(says(text, "others write to it all the time (4 attempts)"), text);
}

BOOST_AUTO_TEST_CASE(behind_an_svsm_a_report_is_of_the_guests_own_level) {
  FakeKernel kernel;
  kernel.floor = 2;
  kernel.raced = 1;
  FakeTsm tsm(kernel);
  const auto made = attest::request_report(tsm, asked_for(), impatient());
  const auto report = attest::parse_snp_report(made.report);
  BOOST_TEST(report->vmpl == 2U);
  BOOST_TEST((report->report_data == asked_for()));
  BOOST_TEST(kernel.entries == 2U); // a race is seen beside two writes of our own as well
  kernel.provider = "tdx_guest";
  BOOST_CHECK_NO_THROW(attest::request_report(tsm, asked_for(), impatient()));
}

BOOST_AUTO_TEST_CASE(a_busy_platform_is_asked_again_and_a_missing_one_is_named) {
  FakeKernel kernel;
  kernel.busy = 3;
  FakeTsm tsm(kernel);
  BOOST_TEST(!attest::request_report(tsm, asked_for(), impatient()).report.empty());
  kernel.busy = 4;
  BOOST_TEST(says(error_text([&] { attest::request_report(tsm, asked_for(), impatient()); }),
                  "it is busy"));
  kernel.read_error = ENXIO;
  BOOST_TEST(says(error_text([&] { attest::request_report(tsm, asked_for(), impatient()); }),
                  "has no provider"));
  kernel.read_error = EFBIG;
  BOOST_TEST(says(error_text([&] { attest::request_report(tsm, asked_for(), impatient()); }),
                  "larger than the kernel takes"));
}

BOOST_AUTO_TEST_CASE(the_kernels_own_folder_is_written_in_one_piece_and_left_clean) {
  const tests::TemporaryFolder root;
  const auto tsm = attest::tsm_below(root.path());
  BOOST_TEST(!tsm->is_there());
  const fs::path reports = root.path() / "sys/kernel/config/tsm/report";
  fs::create_directories(reports);
  BOOST_TEST(tsm->is_there());
  {
    const auto entry = tsm->enter();
    fs::path made;
    for (const auto& each : fs::directory_iterator(reports)) made = each.path();
    BOOST_TEST(made.filename().string().starts_with("talaria-"));
    BOOST_TEST(entry->write("inblob", asked_for()) == ENOENT); // no kernel made it
    put(made / "inblob", {});
    BOOST_TEST(entry->write("inblob", asked_for()) == 0);
    std::vector<u8> read;
    BOOST_TEST(entry->read("inblob", read) == 0);
    BOOST_TEST(read.size() == 64U);
    BOOST_TEST(entry->read("auxblob", read) == 0); // TDX has none
    BOOST_TEST(entry->read("outblob", read) == ENOENT);
    fs::remove(made / "inblob");
  }
  BOOST_TEST(fs::is_empty(reports));
}

BOOST_AUTO_TEST_CASE(the_device_gives_reports_with_the_hosts_table) {
  FakeDevice device;
  device.busy = 2;
  device.table = table_of({{kVcek, std::vector<u8>(5000, 9)}, {kAsk, {4}}});
  const attest::SevGuest guest("/dev/sev-guest", device.calls(), impatient());
  const auto made = guest.report(asked_for());
  BOOST_TEST((attest::parse_snp_report(made.report)->report_data == asked_for()));
  const auto items = attest::read_certificate_table(made.auxiliary);
  BOOST_TEST(items.at("leaf").size() == 5000U);
  BOOST_TEST(items.at("authority").size() == 1U);
  BOOST_TEST(device.opened == 0);
  device.table.clear();
  BOOST_TEST(guest.report(asked_for()).auxiliary.empty());
}

BOOST_AUTO_TEST_CASE(success_with_nothing_in_it_is_none) {
  FakeDevice device;
  const attest::SevGuest guest("/dev/sev-guest", device.calls(), impatient());
  device.is_empty = true;
  BOOST_TEST(says(error_text([&] { guest.report(asked_for()); }), "is empty"));
  device.status = 0x16;
  BOOST_TEST(says(error_text([&] { guest.report(asked_for()); }), "status 0x16"));
  BOOST_TEST(says(error_text([&] { guest.derived_key(); }), "status 0x16"));
  device.status = 0;
  device.busy = 100;
  BOOST_TEST(says(error_text([&] { guest.report(asked_for()); }), "is busy (4 attempts)"));
  attest::DeviceCalls closed = device.calls();
  closed.open = [](const fs::path&) { return -EACCES; };
  const attest::SevGuest forbidden("/dev/sev-guest", closed, impatient());
  BOOST_TEST(says(error_text([&] { forbidden.report(asked_for()); }), "Permission denied"));
}

BOOST_AUTO_TEST_CASE(a_derived_key_is_of_the_image_and_its_policy) {
  FakeDevice device;
  const attest::SevGuest guest("/dev/sev-guest", device.calls(), impatient());
  BOOST_TEST(guest.derived_key()[31] == 0x77);
  BOOST_TEST(device.fields == 0x1fU);
  device.key = 0;
  BOOST_TEST(says(error_text([&] { guest.derived_key(); }), "derives no key"));
}

BOOST_AUTO_TEST_CASE(a_hosts_table_is_not_believed) {
  auto table = table_of({{kVcek, {1, 2, 3}}, {kAsk, {4}}, {std::string(32, 'a'), {5}}});
  BOOST_TEST(attest::read_certificate_table(table).size() == 2U);
  const u32 far = 1U << 30;
  std::memcpy(table.data() + 16, &far, 4); // offset of the first
  BOOST_TEST(attest::read_certificate_table(table).size() == 1U);
  std::memcpy(table.data() + 24 + 20, &far, 4); // length of the second
  BOOST_TEST(attest::read_certificate_table(table).empty());
  for (std::size_t size = 0; size < 80; ++size)
    attest::read_certificate_table(attest::Bytes(table).first(std::min(size, table.size())));
  BOOST_TEST(attest::read_certificate_table({}).empty());
}

BOOST_AUTO_TEST_CASE(a_source_gives_what_its_platform_is) {
  FakeKernel kernel;
  kernel.table = table_of({{kVcek, {1, 2, 3}}});
  {
    attest::GuestSource source(options_of(kernel));
    const auto set = source.evidence({asked_for(), {}});
    BOOST_TEST((set.kind == attest::EvidenceKind::snp));
    BOOST_TEST(set.get("leaf").size() == 3U);
    BOOST_TEST(!source.is_simulated());
    BOOST_TEST(!source.derived_key().has_value()); // there is no device
  }
  auto tdx = options_of(kernel);
  tdx.platform = attest::GuestPlatform::tdx;
  attest::GuestSource other(std::move(tdx));
  BOOST_TEST(says(error_text(
                      [&] {
                        other.evidence({asked_for(), {}});
                      },
                      Errc::config),
                  "is sev-snp"));
  kernel.provider = "tdx_guest";
  BOOST_TEST((other.evidence({asked_for(), {}}).kind == attest::EvidenceKind::tdx));
  kernel.provider = "arm_cca_guest";
  BOOST_TEST(says(error_text([&] { other.evidence({asked_for(), {}}); }, Errc::config), "neither"));
}

BOOST_AUTO_TEST_CASE(a_guest_that_was_started_for_another_configuration_gives_nothing) {
  FakeKernel kernel;
  const auto source_for = [&](u8 configuration) {
    auto options = options_of(kernel);
    options.configuration.fill(configuration);
    return std::make_unique<attest::GuestSource>(std::move(options));
  };
  BOOST_CHECK_NO_THROW(source_for(3)->evidence({asked_for(), {}})); // zeros: nobody said anything
  kernel.host_data = 3;
  BOOST_CHECK_NO_THROW(source_for(3)->evidence({asked_for(), {}}));
  BOOST_TEST(says(error_text(
                      [&] {
                        source_for(4)->evidence({asked_for(), {}});
                      },
                      Errc::config),
                  "started for another configuration"));
}

BOOST_AUTO_TEST_CASE(a_machine_that_is_no_guest_says_what_is_missing) {
  FakeKernel kernel;
  kernel.is_mounted = false;
  const auto problem = [&] {
    return error_text([&] { attest::GuestSource source(options_of(kernel)); }, Errc::config);
  };
  BOOST_TEST(says(problem(), "no confidential guest"));
  fs::create_directories(kernel.folder.path() / "dev");
  put(kernel.folder.path() / "dev/tdx_guest", {});
  BOOST_TEST(says(problem(), "Linux 6.7"));
  put(kernel.folder.path() / "dev/sev-guest", {});
  FakeDevice device;
  auto options = options_of(kernel);
  options.devices = device.calls();
  attest::GuestSource source(std::move(options));
  BOOST_TEST((source.evidence({asked_for(), {}}).kind == attest::EvidenceKind::snp));
  BOOST_TEST(source.derived_key().has_value());
}

BOOST_AUTO_TEST_SUITE_END()
