// Evidence behind Azure's paravisor, of a vTPM and a metadata service that are not there. The fakes
// have layouts of their own (TCG TPM 2.0 Library, part 3); what comes out is judged by the
// verifier.
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <boost/test/unit_test.hpp>

#include <cstring>
#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "attest/endpoint/machine_source.hpp"
#include "attest/evidence/encodings.hpp"
#include "attest/evidence/hcl.hpp"
#include "core/error.hpp"
#include "tests/attest/fake_services.hpp"
#include "tests/attest/simulation.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace talaria;
namespace fs = std::filesystem;
using attest::EvidenceKind;
using Blob = std::vector<u8>;

namespace {

/// The vTPM's attestation key, made once.
class AttestationKey {
public:
  AttestationKey() : key_(EVP_RSA_gen(2048), &EVP_PKEY_free) {}
  Blob sign(const Blob& text) const {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                          &EVP_MD_CTX_free);
    Blob signature(256);
    std::size_t size = signature.size();
    BOOST_TEST_REQUIRE(
        EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1);
    BOOST_TEST_REQUIRE(
        EVP_DigestSign(context.get(), signature.data(), &size, text.data(), text.size()) == 1);
    return signature;
  }
  /// The claims of a paravisor: this key, and something else.
  std::string claims() const {
    return nlohmann::json{{"keys",
                           {{{"kid", "HCLAkPub"},
                             {"key_ops", {"sign"}},
                             {"kty", "RSA"},
                             {"e", number(OSSL_PKEY_PARAM_RSA_E)},
                             {"n", number(OSSL_PKEY_PARAM_RSA_N)}}}},
                          {"vm-configuration", {{"secure-boot", true}, {"vmUniqueId", "A-B"}}},
                          {"user-data", "00"}}
        .dump();
  }

private:
  std::string number(const char* name) const {
    BIGNUM* value = nullptr;
    EVP_PKEY_get_bn_param(key_.get(), name, &value);
    Blob bytes(static_cast<std::size_t>(BN_num_bytes(value)));
    BN_bn2bin(value, bytes.data());
    BN_free(value);
    return attest::to_base64url(bytes);
  }
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
};

const AttestationKey& attestation_key() {
  static const AttestationKey key;
  return key;
}

template <std::size_t N>
std::array<u8, N> claims_digest() {
  std::array<u8, N> out{};
  const std::string claims = attestation_key().claims();
  const Sha256Digest digest = sha256(attest::as_bytes(claims));
  std::copy(digest.begin(), digest.end(), out.begin());
  return out;
}

void put_le32(Blob& bytes, std::size_t at, u32 value) {
  for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<u8>(value >> (8 * i));
}

/// NV index 0x01400001 with a report of this kind, filled up with zeros as the paravisor does.
Blob paravisor_report(bool is_snp) {
  const std::string claims = attestation_key().claims();
  Blob bytes(2600);
  std::memcpy(bytes.data(), "HCLA", 4);
  put_le32(bytes, 0x004, 2);
  put_le32(bytes, 0x008, static_cast<u32>(0x4C0 + 20 + claims.size()));
  put_le32(bytes, 0x00C, 2);
  if (is_snp) {
    tests::sim::ReportSpec spec;
    spec.report_data = claims_digest<64>();
    const Blob report = tests::sim::make_report(spec, tests::snp_authority().vcek);
    std::copy(report.begin(), report.end(), bytes.begin() + 0x20);
  } else {
    std::fill_n(bytes.begin() + 0x20, 1024, u8{0xd7}); // a TDREPORT, which no verifier can check
  }
  put_le32(bytes, 0x4C0, static_cast<u32>(20 + claims.size()));
  put_le32(bytes, 0x4C4, 1);
  put_le32(bytes, 0x4C8, is_snp ? 2 : 4);
  put_le32(bytes, 0x4CC, 1);
  put_le32(bytes, 0x4D0, static_cast<u32>(claims.size()));
  std::memcpy(bytes.data() + 0x4D4, claims.data(), claims.size());
  return bytes;
}

/// Big-endian fields of a command, in the order in which they must stand.
struct Asked {
  attest::Bytes rest;
  u32 number(std::size_t bytes) {
    u32 value = 0;
    for (std::size_t i = 0; i < bytes; ++i) value = value * 256 + rest[i];
    rest = rest.subspan(bytes);
    return value;
  }
  void expect(u32 value, std::size_t bytes) { BOOST_TEST(number(bytes) == value); }
  Blob sized() {
    const std::size_t size = number(2);
    Blob bytes(rest.begin(), rest.begin() + static_cast<long>(size));
    rest = rest.subspan(size);
    return bytes;
  }
};

Blob be(u32 value, std::size_t bytes) {
  Blob out;
  while (bytes-- > 0) out.push_back(static_cast<u8>(value >> (8 * bytes)));
  return out;
}

Blob operator+(Blob left, const Blob& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

Blob sized(const Blob& bytes) {
  return be(static_cast<u32>(bytes.size()), 2) + bytes;
}

struct FakeTpm {
  bool is_snp = true;
  bool has_report = true;
  unsigned busy = 0;     ///< so many commands are to be sent again
  unsigned changing = 0; ///< before so many quotes a register is extended
  u32 error = 0;         ///< of each quote
  bool quotes_another = false;
  std::size_t cut = 0; ///< bytes that each response lacks
  unsigned commands = 0;
  std::vector<Blob> pcrs = std::vector<Blob>(24, Blob(32, 7));

  attest::TpmExchange exchange() {
    return [this](attest::Bytes command) {
      ++commands;
      Blob response = answer(command);
      response.resize(response.size() - std::min(cut, response.size()));
      return response;
    };
  }

private:
  static Blob respond(u32 tag, u32 code, const Blob& rest = {}) {
    return be(tag, 2) + be(static_cast<u32>(10 + rest.size()), 4) + be(code, 4) + rest;
  }
  /// Of a command with a session: the parameters, and what the password session answers.
  static Blob of_session(const Blob& parameters) {
    return respond(0x8002, 0,
                   be(static_cast<u32>(parameters.size()), 4) + parameters + Blob{0, 0, 1, 0, 0});
  }
  Blob answer(attest::Bytes command) {
    Asked asked{command};
    const u32 tag = asked.number(2);
    asked.expect(static_cast<u32>(command.size()), 4);
    const u32 code = asked.number(4);
    if (busy > 0) return --busy, respond(0x8001, 0x922);
    const bool has_session = code == 0x14E || code == 0x158;
    BOOST_TEST(tag == (has_session ? 0x8002U : 0x8001U));
    if (code == 0x169) return read_public(asked);
    if (code == 0x14E) return read_index(asked);
    if (code == 0x17E) return read_registers(asked);
    BOOST_TEST(code == 0x158U);
    return quote(asked);
  }
  static void take_session(Asked& asked) {
    asked.expect(9, 4);
    asked.expect(0x40000009, 4);
    asked.expect(0, 2 + 1);
    asked.expect(0, 2);
  }
  Blob read_public(Asked& asked) const {
    asked.expect(0x01400001, 4);
    if (!has_report) return respond(0x8001, 0x18B);
    const Blob about =
        be(0x01400001, 4) + be(0x0B, 2) + be(0x42072001, 4) + sized({}) + be(2600, 2);
    return respond(0x8001, 0, sized(about) + sized(Blob(34, 1)));
  }
  Blob read_index(Asked& asked) const {
    asked.expect(0x40000001, 4);
    asked.expect(0x01400001, 4);
    take_session(asked);
    const u32 size = asked.number(2);
    const u32 offset = asked.number(2);
    const Blob whole = paravisor_report(is_snp);
    if (size > 1024 || offset + size > whole.size()) return respond(0x8001, 0x1D5);
    return of_session(sized({whole.begin() + offset, whole.begin() + offset + size}));
  }
  static Blob selection(const Blob& bits) { return be(1, 4) + be(0x0B, 2) + be(3, 1) + bits; }
  Blob read_registers(Asked& asked) const {
    asked.expect(1, 4);
    asked.expect(0x0B, 2);
    asked.expect(3, 1);
    Blob given(3);
    Blob values;
    u32 count = 0;
    for (std::size_t i = 0; i < 24 && count < 8; ++i) { // eight at most, as TPMs have it
      if ((asked.rest[i / 8] >> (i % 8) & 1) == 0) continue;
      given[i / 8] = static_cast<u8>(given[i / 8] | 1U << (i % 8));
      values = values + sized(pcrs[i]);
      ++count;
    }
    return respond(0x8001, 0, be(4711, 4) + selection(given) + be(count, 4) + values);
  }
  Blob quote(Asked& asked) {
    asked.expect(0x81000003, 4);
    take_session(asked);
    Blob extra = asked.sized();
    if (quotes_another) extra[0] ^= 1;
    asked.expect(0x14, 2);
    asked.expect(0x0B, 2);
    asked.expect(1, 4);
    asked.expect(0x0B, 2);
    asked.expect(3, 1);
    asked.expect(0xffffff, 3);
    BOOST_TEST(asked.rest.empty());
    if (error != 0) return respond(0x8001, error);
    if (changing > 0) --changing, ++pcrs[23][0];
    Blob registers;
    for (const Blob& each : pcrs) registers = registers + each;
    const Sha256Digest digest = sha256(registers);
    const Blob quoted = Blob{0xff, 'T', 'C', 'G', 0x80, 0x18} + sized(Blob(34, 2)) + sized(extra) +
                        Blob(25, 3) + selection({0xff, 0xff, 0xff}) +
                        sized({digest.begin(), digest.end()});
    return of_session(sized(quoted) + be(0x14, 2) + be(0x0B, 2) +
                      sized(attestation_key().sign(quoted)));
  }
};

/// As the service answers in each machine.
struct FakeMetadata {
  std::vector<std::string> asked;
  std::string refusal; ///< in the place of every answer

  attest::MetadataCall call() {
    return [this](const std::string& request) {
      asked.push_back(request);
      if (!refusal.empty()) return refusal;
      const std::string body = request.starts_with("POST") ? quote(request) : certificates();
      return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
             body;
    };
  }

private:
  static std::string quote(const std::string& request) {
    BOOST_TEST(request.starts_with("POST /acc/tdquote HTTP/1.1\r\nHost: 169.254.169.254\r\n"));
    const auto body = nlohmann::json::parse(request.substr(request.find("\r\n\r\n") + 4));
    const auto report = attest::from_base64url(body["report"].get<std::string>()).value();
    BOOST_TEST(report.size() == 1024U);
    BOOST_TEST(report[0] == 0xd7);
    tests::sim::QuoteSpec spec;
    spec.report_data = claims_digest<64>();
    return nlohmann::json{
        {"quote",
         attest::to_base64url(tests::sim::make_quote(spec, tests::tdx_authority())) + "=="}}
        .dump();
  }
  static std::string certificates() {
    using attest::simulated::pem_of;
    const auto& amd = tests::snp_authority();
    return nlohmann::json{
        {"vcekCert", pem_of(amd.vcek_certificate)},
        {"tcbm", "1b1b00000000000a"},
        {"cacheControl", "86400"},
        {"certificateChain", pem_of(amd.ask_certificate) + pem_of(amd.ark_certificate)}}
        .dump();
  }
};

struct Machine {
  FakeTpm tpm;
  FakeMetadata metadata;
  attest::GuestPlatform platform = attest::GuestPlatform::azure;

  std::unique_ptr<attest::EvidenceSource> source() {
    attest::GuestOptions options;
    options.platform = platform;
    options.tpm = tpm.exchange();
    options.metadata = metadata.call();
    options.attempts.most = 4;
    options.attempts.pause = [](std::chrono::milliseconds) {};
    return attest::machine_source(std::move(options));
  }
};

attest::Bound bound_over(u8 value = 0x42) {
  attest::Bound bound;
  bound.qualifying.fill(value);
  return bound;
}

/// With the collateral that the service does not give.
attest::EvidenceSet completed(attest::EvidenceSet set) {
  const auto whole = set.kind == EvidenceKind::azure_snp ? tests::snp_set() : tests::tdx_set();
  for (const auto& [name, bytes] : whole.items)
    if (name != "report" && name != "leaf" && name != "authority" && name != "quote")
      set.items[name] = bytes;
  return set;
}

std::string azure_error(const std::function<void()>& work, Errc code = Errc::io) {
  try {
    work();
  } catch (const Error& error) {
    BOOST_TEST((error.code() == code), error.what());
    return error.what();
  }
  return "no error";
}

bool text_has(const std::string& text, const char* what) {
  return text.find(what) != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_SUITE(azure_guests)

BOOST_AUTO_TEST_CASE(what_a_machine_gives_is_what_the_verifier_takes) {
  for (const bool is_snp : {true, false}) {
    Machine machine;
    machine.tpm.is_snp = is_snp;
    machine.tpm.busy = 3;
    const auto source = machine.source();
    for (const u8 value : {u8{1}, u8{2}}) {
      const auto set = completed(source->evidence(bound_over(value)));
      BOOST_TEST((set.kind == (is_snp ? EvidenceKind::azure_snp : EvidenceKind::azure_tdx)));
      BOOST_TEST(tests::simulated_outcome(set) == "accept");
      const auto judged = attest::verify_evidence(set, tests::simulated_anchors(),
                                                  {tests::kJudged, attest::Seconds(0)});
      BOOST_TEST((judged.azure->tpm->extra_data == Blob(32, value)));
      BOOST_TEST(judged.azure->pcrs.size() == 768U);
      BOOST_TEST(judged.azure->vm_id == "A-B");
    }
    BOOST_TEST(machine.metadata.asked.size() == 1U); // once for one start of the machine
    BOOST_TEST(!source->derived_key().has_value());
  }
}

BOOST_AUTO_TEST_CASE(one_byte_that_is_another_is_seen) {
  Machine machine;
  const auto good = completed(machine.source()->evidence(bound_over()));
  for (const char* item : {"hcl", "tpm_quote", "tpm_signature", "pcrs"}) {
    attest::EvidenceSet bad = good;
    bad.items[item][bad.items[item].size() / 3] ^= 1;
    BOOST_TEST(tests::simulated_outcome(bad) != "accept", item);
  }
}

BOOST_AUTO_TEST_CASE(registers_that_change_in_between_are_read_again) {
  Machine machine;
  machine.tpm.changing = 3;
  const auto source = machine.source();
  BOOST_TEST(tests::simulated_outcome(completed(source->evidence(bound_over()))) == "accept");
  machine.tpm.changing = 1000;
  BOOST_TEST(text_has(azure_error([&] { source->evidence(bound_over()); }), "change all the time"));
}

BOOST_AUTO_TEST_CASE(a_vtpm_that_does_not_answer_as_asked_is_named) {
  Machine machine;
  const auto source = machine.source();
  const auto problem = [&] { return azure_error([&] { source->evidence(bound_over()); }); };
  machine.tpm.quotes_another = true;
  BOOST_TEST(text_has(problem(), "about something else than was asked"));
  machine.tpm.quotes_another = false;
  machine.tpm.error = 0x18B;
  BOOST_TEST(text_has(problem(), "TPM: Quote: response code 0x18b"), problem());
  machine.tpm.error = 0;
  machine.tpm.busy = 4;
  BOOST_TEST(text_has(problem(), "response code 0x922"));
  for (const std::size_t cut : {1U, 5U, 10U, 4000U}) {
    machine.tpm.cut = cut;
    BOOST_TEST(text_has(problem(), "TPM: NV_ReadPublic: "), problem());
  }
}

BOOST_AUTO_TEST_CASE(a_machine_without_a_paravisor_says_so) {
  Machine machine;
  machine.tpm.has_report = false;
  const std::string text = azure_error([&] { machine.source(); }, Errc::config);
  BOOST_TEST(text_has(text, "no confidential machine of Azure's"), text);
  BOOST_TEST(text_has(text, "there is no such index"), text);
  // A machine with no TPM at all.
  const tests::TemporaryFolder empty;
  attest::GuestOptions options;
  options.platform = attest::GuestPlatform::azure;
  options.root = empty.path();
  BOOST_TEST(
      text_has(azure_error([&] { attest::machine_source(std::move(options)); }, Errc::config),
               "dev/tpmrm0: cannot be opened"));
}

BOOST_AUTO_TEST_CASE(a_vtpm_is_taken_by_itself_only_where_the_kernel_gives_nothing) {
  const tests::TemporaryFolder root;
  FakeTpm tpm;
  const auto automatic = [&] {
    attest::GuestOptions options;
    options.root = root.path();
    options.tpm = tpm.exchange();
    attest::machine_source(std::move(options));
  };
  BOOST_TEST(text_has(azure_error(automatic, Errc::config), "no confidential guest"));
  fs::create_directories(root.path() / "dev");
  std::ofstream(root.path() / "dev/tpmrm0").put(' ');
  BOOST_CHECK_NO_THROW(automatic());
  const unsigned commands = tpm.commands;
  BOOST_TEST(commands > 0U);
  std::ofstream(root.path() / "dev/sev-guest").put(' ');
  BOOST_CHECK_NO_THROW(automatic()); // a guest of its own, with a TPM of its host's
  BOOST_TEST(tpm.commands == commands);
}

BOOST_AUTO_TEST_CASE(evidence_goes_without_certificates_and_not_without_a_quote) {
  Machine snp;
  snp.metadata.refusal = "HTTP/1.1 503 Busy\r\n\r\n";
  BOOST_TEST(snp.source()->evidence(bound_over()).get("leaf").empty());
  Machine tdx;
  tdx.tpm.is_snp = false;
  const auto source = tdx.source();
  const auto problem = [&](const std::string& reply) {
    tdx.metadata.refusal = reply;
    return azure_error([&] { source->evidence(bound_over()); });
  };
  BOOST_TEST(text_has(problem("HTTP/1.1 503 Busy\r\n\r\n"), "answers 503"));
  BOOST_TEST(text_has(problem("HTTP/1.1 200 OK\r\n\r\n[]"), "no JSON object"));
  BOOST_TEST(text_has(problem("HTTP/1.1 200 OK\r\n\r\n{\"quote\": 1}"), "has no text quote"));
  BOOST_TEST(text_has(problem("HTTP/1.1 200 OK\r\n\r\n{\"quote\": \"!\"}"), "not base64url"));
  tdx.metadata.refusal.clear();
  BOOST_TEST(!source->evidence(bound_over()).get("quote").empty());
}

BOOST_AUTO_TEST_CASE(the_kernels_device_is_written_and_read_in_one_piece) {
  const tests::TemporaryFolder folder;
  const fs::path device = folder.path() / "tpmrm0";
  std::ofstream(device) << "0123456789answer";
  // A plain file continues where the command ended.
  const Blob answer = attest::tpm_exchange(device)(attest::as_bytes("abcdefghij"));
  BOOST_TEST(attest::as_text(answer) == "answer");
  std::ifstream in(device);
  BOOST_TEST(std::string(std::istreambuf_iterator<char>(in), {}) == "abcdefghijanswer");
}

BOOST_AUTO_TEST_SUITE_END()
