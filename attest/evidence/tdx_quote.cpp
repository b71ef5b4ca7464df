#include "attest/evidence/tdx_quote.hpp"

#include <string>

namespace talaria::attest {
namespace {

constexpr std::size_t kHeaderBytes = 48;
constexpr std::size_t kBody10 = 584;
constexpr std::size_t kBody15 = 648;
constexpr std::array<u8, 16> kIntelQe = {0x93, 0x9A, 0x72, 0x33, 0xF7, 0x9C, 0x4C, 0xA9,
                                         0x94, 0x0A, 0x0D, 0xB3, 0x95, 0x7F, 0x06, 0x07};
constexpr u32 kTdxTee = 0x81;
constexpr u16 kEcdsaP256 = 2;
constexpr u16 kQeReportData = 6;
constexpr u16 kPckChain = 5;

void need_quote(bool holds, std::string_view code, const std::string& reason) {
  if (!holds) refuse(Stage::format, code, reason);
}

void read_header(const Record& record, TdxQuote& quote) {
  quote.version = record.le16(0);
  quote.attestation_key_type = record.le16(2);
  quote.user_data = record.array<20>(28);
  need_quote(quote.version == 4 || quote.version == 5, "version",
             "version " + std::to_string(quote.version) + "; known are 4 and 5");
  need_quote(quote.attestation_key_type == kEcdsaP256, "attestation-key-type",
             "attestation key type " + std::to_string(quote.attestation_key_type) +
                 "; expected 2, ECDSA P-256");
  const u32 tee = record.le32(4);
  need_quote(tee == kTdxTee, "tee-type", "TEE type " + std::to_string(tee) + "; expected 129, TDX");
  need_quote(record.array<16>(12) == kIntelQe, "qe-vendor", "the quoting enclave is not Intel's");
  need_quote(all_zero(record.slice(8, 4)), "reserved",
             "the reserved bytes of the header are not zero");
}

/// @return where the body begins; `size` becomes its length.
std::size_t find_body(const Record& record, TdxQuote& quote, std::size_t& size) {
  size = kBody10;
  if (quote.version == 4) return kHeaderBytes;
  quote.body_type = record.le16(kHeaderBytes);
  size = record.le32(kHeaderBytes + 2);
  need_quote((quote.body_type == 2 && size == kBody10) || (quote.body_type == 3 && size == kBody15),
             "body-type",
             "body type " + std::to_string(quote.body_type) + " of " + std::to_string(size) +
                 " bytes");
  return kHeaderBytes + 6;
}

void read_body(const Record& body, TdxQuote& quote) {
  quote.tee_tcb_svn = body.array<16>(0);
  quote.mr_seam = body.array<48>(16);
  quote.mr_signer_seam = body.array<48>(64);
  quote.seam_attributes = body.array<8>(112);
  quote.td_attributes = body.le64(120);
  quote.xfam = body.le64(128);
  quote.mr_td = body.array<48>(136);
  quote.mr_config_id = body.array<48>(184);
  quote.mr_owner = body.array<48>(232);
  quote.mr_owner_config = body.array<48>(280);
  for (std::size_t i = 0; i < quote.rtmr.size(); ++i) quote.rtmr[i] = body.array<48>(328 + 48 * i);
  quote.report_data = body.array<64>(520);
  if (body.size() == kBody10) return;
  quote.tee_tcb_svn_2 = body.array<16>(584);
  quote.mr_service_td = body.array<48>(600);
}

void read_qe_report(TdxQuote& quote) {
  const Record record(quote.qe_report_bytes, "length");
  QeReport& report = quote.qe_report;
  report.cpu_svn = record.array<16>(0);
  report.misc_select = record.array<4>(16);
  report.attributes = record.array<16>(48);
  report.mr_enclave = record.array<32>(64);
  report.mr_signer = record.array<32>(128);
  report.product = record.le16(256);
  report.svn = record.le16(258);
  report.report_data = record.array<64>(320);
}

/// The nested lengths must each reach exactly to the end of what they lie in.
void read_signature(const Record& data, TdxQuote& quote) {
  quote.signature = data.array<64>(0);
  quote.attestation_key = data.array<64>(64);
  const u16 type = data.le16(128);
  need_quote(type == kQeReportData, "certification-data-type",
             "certification data of type " + std::to_string(type) + "; expected 6");
  const std::size_t size = data.le32(130);
  need_quote(size == data.size() - 134, "length",
             "the certification data does not end with the quote");
  const Record inner(data.slice(134, size), "length");
  quote.qe_report_bytes = inner.array<384>(0);
  quote.qe_signature = inner.array<64>(384);
  const std::size_t authentication = inner.le16(448);
  quote.qe_authentication = to_vector(inner.slice(450, authentication));
  const std::size_t at = 450 + authentication;
  const u16 chain_type = inner.le16(at);
  need_quote(chain_type == kPckChain, "certification-data-type",
             "inner certification data of type " + std::to_string(chain_type) + "; expected 5");
  const std::size_t chain = inner.le32(at + 2);
  need_quote(chain == inner.size() - at - 6, "length", "the chain does not end with the quote");
  quote.chain = to_vector(inner.slice(at + 6, chain));
  read_qe_report(quote);
}

TdxQuote read_quote(Bytes bytes) {
  need_quote(bytes.size() <= kMaxQuoteBytes, "length",
             std::to_string(bytes.size()) + " bytes; at most 16384");
  need_quote(bytes.size() >= kHeaderBytes + kBody10 + 4, "length",
             std::to_string(bytes.size()) + " bytes; a quote has 636 at least");
  const Record record(bytes, "length");
  TdxQuote quote;
  read_header(record, quote);
  std::size_t body_bytes = 0;
  const std::size_t body = find_body(record, quote, body_bytes);
  read_body(Record(record.slice(body, body_bytes), "length"), quote);
  const std::size_t end = body + body_bytes;
  quote.signed_bytes = to_vector(record.slice(0, end));
  const std::size_t data_bytes = record.le32(end);
  const Record data(record.slice(end + 4, data_bytes), "length");
  need_quote(all_zero(bytes.subspan(end + 4 + data_bytes)), "trailing-bytes",
             "bytes that are not zero follow the quote");
  read_signature(data, quote);
  return quote;
}

} // namespace

Parsed<TdxQuote> parse_tdx_quote(Bytes bytes) {
  return guarded([bytes] { return read_quote(bytes); });
}

} // namespace talaria::attest
