#include "transport/wire_codec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <string_view>

#include "remo/public/parameters.hpp"
#include "transport/wire_codec_parts.hpp"

static_assert(std::endian::native == std::endian::little, "values travel as they lie in memory");

namespace talaria::transport {
namespace {

constexpr u32 kMagic = 0x31524c54;              // "TLR1"
constexpr std::size_t kSmallPayload = 12 << 10; // with its head below one TLS record of 16 KiB
} // namespace

void malformed(const std::string& what) {
  throw Error(Errc::verification, "malformed frame: " + what);
}

/// What a peer wrote for a log or a table: one line of printable ASCII, at most `most` characters.
std::string printable(capnp::Text::Reader text, std::size_t most) {
  std::string out(text.begin(), std::min(text.size(), most));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

/// The peer's code is a word of its text and nothing else: all failures of a peer are one code
/// here, so that none of them can pass for what this side has found out.
Error read_failure(wire::Failure::Reader in) {
  constexpr std::size_t kMaxCode = 16;
  return {Errc::no_worker,
          printable(in.getCode(), kMaxCode) + ": " + printable(in.getMessage(), kMaxMessage)};
}

OutFrame finish(capnp::MessageBuilder& message, remo::SharedBytes payload) {
  const kj::Array<capnp::word> head = capnp::messageToFlatArray(message);
  const auto bytes = head.asBytes();
  if (bytes.size() > kMaxHeadBytes)
    throw Error(Errc::internal, "a frame's head exceeds 1 MiB: too many matrices on one worker");
  const u32 head_bytes = static_cast<u32>(bytes.size());
  const u64 payload_bytes = payload ? payload->size() : 0;
  const bool small = payload_bytes <= kSmallPayload;
  OutFrame frame;
  frame.start.resize(kPrefixBytes + bytes.size() + (small ? payload_bytes : 0));
  u8* out = frame.start.data();
  std::memcpy(out, &kMagic, 4);
  std::memcpy(out + 4, &head_bytes, 4);
  std::memcpy(out + 8, &payload_bytes, 8);
  std::memcpy(out + kPrefixBytes, bytes.begin(), bytes.size());
  if (!small)
    frame.payload = std::move(payload);
  else if (payload_bytes != 0)
    std::memcpy(out + kPrefixBytes + bytes.size(), payload->data(), payload_bytes);
  return frame;
}

void no_payload(std::size_t bytes) {
  if (bytes != 0) malformed("a payload where there is none");
}

Beat read_beat(wire::Beat::Reader in) {
  return Beat{in.getSent(), in.getClock(), in.getAnswer()};
}

namespace {

constexpr std::size_t kMaxMatrices = 10'000;
constexpr std::size_t kPanelGroup = 256; // bytes: 64 columns x 4 inputs (WeightPanels)

// ---- values -------------------------------------------------------------------------------------

/// Bytes of one value of a tensor; 0 if this link cannot carry the kind.
std::size_t value_bytes(remo::ProductKind kind, bool reply, const WireFormat& format) {
  switch (kind) {
  case remo::ProductKind::residues:
    return format.residue_bytes;
  case remo::ProductKind::switched:
    return reply ? format.switched_bytes : format.residue_bytes;
  case remo::ProductKind::float32:
    return sizeof(float);
  case remo::ProductKind::int8:
    return reply ? sizeof(i32) : sizeof(i8);
  case remo::ProductKind::rounded:
    return format.rounded_bytes;
  case remo::ProductKind::rounded_switched:
    if (format.rounded_bytes == 0) return 0;
    return reply ? format.switched_bytes : format.rounded_bytes;
  }
  return 0;
}

/// Whether `bytes` is what [rows][columns] values take; no product here can overflow.
bool fits(u64 rows, u64 columns, std::size_t value, std::size_t bytes) {
  constexpr u64 kMax = std::numeric_limits<u32>::max();
  return value != 0 && rows <= kMax && columns <= kMax &&
         u128{rows} * columns * value == u128{bytes};
}

bool panels_fit(u32 count, std::size_t bytes) {
  if (count == 0) return bytes == 0;
  return bytes != 0 && bytes % (std::size_t{count} * kPanelGroup) == 0;
}

std::optional<Sha256Digest> digest_of(capnp::Data::Reader data) {
  if (data.size() == 0) return std::nullopt;
  Sha256Digest digest;
  if (data.size() != digest.size()) malformed("a digest is not 32 bytes long");
  std::copy(data.begin(), data.end(), digest.begin());
  return digest;
}

capnp::Data::Reader data_of(std::span<const u8> bytes) {
  return {bytes.data(), bytes.size()};
}

// ---- failures -----------------------------------------------------------------------------------

void write_failure(wire::Failure::Builder out, const Error& error) {
  out.setCode(to_string(error.code()));
  out.setMessage(std::string(error.what()).substr(0, kMaxMessage));
}

// ---- identity -----------------------------------------------------------------------------------

void write_identity(wire::Identity::Builder out, const Identity& in) {
  out.setProtocolOldest(in.protocol_oldest);
  out.setProtocolNewest(in.protocol_newest);
  out.setName(in.name);
  out.setSoftware(in.software);
  out.setParameters(in.parameters);
  out.setModulus(in.modulus);
  out.setRoundedModulus(in.rounded_modulus);
  out.setDimension(in.dimension);
  out.setWeights(in.weights);
  out.setPublicSeed(data_of(in.public_seed));
  out.setLayers(in.layers);
  out.setDevice(in.device);
  out.setWeightBytes(in.weight_bytes);
  out.setAttests(in.attests);
  auto matrices = out.initMatrices(static_cast<unsigned>(in.matrices.size()));
  for (unsigned i = 0; i < matrices.size(); ++i) {
    const HeldMatrix& m = in.matrices[i];
    matrices[i].setMatrix(m.matrix);
    matrices[i].setInputs(m.d_in);
    matrices[i].setColumns(m.columns);
    matrices[i].setFirstColumn(m.first_column);
    matrices[i].setColumnCount(m.column_count);
    if (m.digest) matrices[i].setDigest(data_of(*m.digest));
  }
}

Identity read_identity(wire::Identity::Reader in) {
  constexpr std::size_t kMaxName = 128;
  Identity out;
  out.protocol_oldest = in.getProtocolOldest();
  out.protocol_newest = in.getProtocolNewest();
  out.name = printable(in.getName(), kMaxName);
  out.software = printable(in.getSoftware(), kMaxName);
  out.parameters = printable(in.getParameters(), kMaxName);
  out.modulus = in.getModulus();
  out.rounded_modulus = in.getRoundedModulus();
  out.dimension = in.getDimension();
  out.weights = printable(in.getWeights(), kMaxName);
  const auto seed = digest_of(in.getPublicSeed());
  if (!seed) malformed("an identity without the digest of the public seed");
  out.public_seed = *seed;
  out.layers = in.getLayers();
  out.device = printable(in.getDevice(), kMaxName);
  out.weight_bytes = in.getWeightBytes();
  out.attests = in.getAttests();
  const auto matrices = in.getMatrices();
  if (matrices.size() > kMaxMatrices) malformed("an identity of more than 10,000 matrices");
  for (const auto m : matrices)
    out.matrices.push_back({m.getMatrix(), m.getInputs(), m.getColumns(), m.getFirstColumn(),
                            m.getColumnCount(), digest_of(m.getDigest())});
  return out;
}

// ---- tensors and runs ---------------------------------------------------------------------------

void read_trace(wire::Tensor::Reader in, remo::MaskedTensor& out) {
  if (!in.hasMark()) return;
  const auto mark = in.getMark();
  out.mark = {mark.getId(), mark.getMicroBatch()};
}

void read_trace(wire::Tensor::Reader in, remo::WorkerProduct& out) {
  if (!in.hasTiming()) return;
  const auto timing = in.getTiming();
  out.timing = {timing.getReceived(), timing.getStarted(), timing.getFinished(),
                timing.getJoinedRows()};
}

void write_trace(wire::Tensor::Builder out, const remo::MaskedTensor& in) {
  if (in.mark.id == 0 && in.mark.micro_batch == 0) return;
  auto mark = out.initMark();
  mark.setId(in.mark.id);
  mark.setMicroBatch(in.mark.micro_batch);
}

void write_trace(wire::Tensor::Builder out, const remo::WorkerProduct& in) {
  if (in.timing.finished == 0) return;
  auto timing = out.initTiming();
  timing.setReceived(in.timing.received);
  timing.setStarted(in.timing.started);
  timing.setFinished(in.timing.finished);
  timing.setJoinedRows(in.timing.joined_rows);
}

template <class Tensor>
Tensor read_tensor(wire::Tensor::Reader in, std::size_t payload_bytes, const WireFormat& format) {
  if (in.getKind() > wire::ProductKind::ROUNDED_SWITCHED) malformed("a tensor of an unknown kind");
  const auto kind = static_cast<remo::ProductKind>(in.getKind());
  constexpr bool kReply = std::is_same_v<Tensor, remo::WorkerProduct>;
  if (!fits(in.getRows(), in.getColumns(), value_bytes(kind, kReply, format), payload_bytes))
    malformed(fmt::format("{} x {} {} do not make {} bytes", in.getRows(), in.getColumns(),
                          remo::to_string(kind), payload_bytes));
  Tensor out;
  out.matrix = in.getMatrix();
  out.kind = kind;
  out.rows = static_cast<u32>(in.getRows());
  out.cols = static_cast<u32>(in.getColumns());
  read_trace(in, out);
  return out;
}

template <class Tensor>
void write_tensor(wire::Tensor::Builder out, const Tensor& in, const WireFormat& format) {
  const std::size_t bytes = in.bytes ? in.bytes->size() : 0;
  constexpr bool kReply = std::is_same_v<Tensor, remo::WorkerProduct>;
  if (!fits(in.rows, in.cols, value_bytes(in.kind, kReply, format), bytes))
    throw Error(Errc::internal, fmt::format("matrix {}: {} x {} {} do not make {} bytes", in.matrix,
                                            in.rows, in.cols, remo::to_string(in.kind), bytes));
  out.setMatrix(in.matrix);
  out.setKind(static_cast<wire::ProductKind>(in.kind));
  out.setRows(in.rows);
  out.setColumns(in.cols);
  write_trace(out, in);
}

template <class Run>
Run read_run(wire::Run::Reader in) {
  Run out;
  out.matrix = in.getMatrix();
  out.first = in.getFirst();
  out.count = in.getCount();
  return out;
}

template <class Run>
void write_run(wire::Run::Builder out, const Run& in) {
  out.setMatrix(in.matrix);
  out.setFirst(in.first);
  out.setCount(in.count);
}

/// Writes each alternative of Request and Reply into a frame; returns its payload.
struct BodyWriter {
  wire::Frame::Builder frame;
  const WireFormat& format;

  remo::SharedBytes operator()(const remo::MaskedTensor& t) {
    write_tensor(frame.initMaskedTensor(), t, format);
    return t.bytes;
  }
  remo::SharedBytes operator()(const remo::WorkerProduct& t) {
    write_tensor(frame.initProduct(), t, format);
    return t.bytes;
  }
  remo::SharedBytes operator()(const remo::HintRequest& r) {
    write_run(frame.initHintRequest(), r);
    return nullptr;
  }
  remo::SharedBytes operator()(const remo::WeightRequest& r) {
    write_run(frame.initWeightRequest(), r);
    return nullptr;
  }
  remo::SharedBytes operator()(const remo::WeightPanels& p) {
    const std::size_t bytes = p.bytes ? p.bytes->size() : 0;
    if (!panels_fit(p.count, bytes))
      throw Error(Errc::internal, fmt::format("matrix {}: {} panels do not make {} bytes", p.matrix,
                                              p.count, bytes));
    write_run(frame.initWeightPanels(), p);
    return p.bytes;
  }
  remo::SharedBytes operator()(const Error& e) {
    write_failure(frame.initFailure(), e);
    return nullptr;
  }
};

template <class Body>
OutFrame encode_body(u64 id, const Body& body, const WireFormat& format) {
  capnp::word scratch[64] = {};
  capnp::MallocMessageBuilder message(kj::arrayPtr(scratch, std::size(scratch)));
  auto frame = message.initRoot<wire::Frame>();
  frame.setId(id);
  remo::SharedBytes payload = std::visit(BodyWriter{frame, format}, body);
  return finish(message, std::move(payload));
}

} // namespace

WireFormat wire_format(const Identity& identity) {
  WireFormat format;
  const auto bytes_of = [](u64 modulus) {
    return static_cast<std::size_t>(std::bit_width(modulus) + 7) / 8;
  };
  format.residue_bytes = bytes_of(identity.modulus);
  format.rounded_bytes = bytes_of(identity.rounded_modulus);
  for (const auto& p : remo::kAcceptedParameters)
    if (p.name == identity.parameters && p.q == identity.modulus)
      format.switched_bytes = static_cast<std::size_t>(p.full_words().reply_bytes());
  return format;
}

OutFrame encode(const Hello& hello) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<wire::Frame>().initHello();
  out.setRole(static_cast<wire::Role>(hello.role));
  out.setSession(data_of(hello.session));
  if (hello.identity) write_identity(out.initIdentity(), *hello.identity);
  if (hello.refusal) write_failure(out.initRefusal(), *hello.refusal);
  return finish(message, nullptr);
}

OutFrame encode(const Beat& beat) {
  capnp::word scratch[32] = {};
  capnp::MallocMessageBuilder message(kj::arrayPtr(scratch, std::size(scratch)));
  auto out = message.initRoot<wire::Frame>().initBeat();
  out.setSent(beat.sent);
  out.setClock(beat.clock);
  out.setAnswer(beat.answer);
  return finish(message, nullptr);
}

OutFrame encode(u64 id, const Request& request, const WireFormat& format) {
  return encode_body(id, request, format);
}

OutFrame encode(u64 id, const Reply& reply, const WireFormat& format) {
  return encode_body(id, reply, format);
}

Prefix decode_prefix(std::span<const u8, kPrefixBytes> bytes, std::size_t max_frame_bytes) {
  u32 magic = 0;
  u32 head = 0;
  u64 payload = 0;
  std::memcpy(&magic, bytes.data(), 4);
  std::memcpy(&head, bytes.data() + 4, 4);
  std::memcpy(&payload, bytes.data() + 8, 8);
  if (magic != kMagic) malformed("it does not begin with the mark of this protocol");
  if (head == 0 || head % sizeof(capnp::word) != 0 || head > kMaxHeadBytes)
    malformed(fmt::format("a head of {} bytes", head));
  if (payload > max_frame_bytes || head + payload > max_frame_bytes)
    malformed(fmt::format("{} bytes announced, the limit is {}", payload, max_frame_bytes));
  return {head, static_cast<std::size_t>(payload)};
}

Hello decode_hello(std::span<const u8> head, std::size_t payload_bytes) {
  no_payload(payload_bytes);
  return with_frame(head, [](wire::Frame::Reader frame) {
    if (!frame.isHello()) malformed("a hello was expected");
    const auto in = frame.getHello();
    if (in.getRole() > wire::Role::DOWN) malformed("a hello with an unknown role");
    Hello out;
    out.role = static_cast<Role>(in.getRole());
    const auto session = in.getSession();
    if (session.size() != out.session.size()) malformed("a session id is not 16 bytes long");
    std::copy(session.begin(), session.end(), out.session.begin());
    if (in.hasIdentity()) out.identity = read_identity(in.getIdentity());
    if (in.hasRefusal() && in.getRefusal().getCode().size() != 0)
      out.refusal = read_failure(in.getRefusal());
    return out;
  });
}

Beat decode_beat(std::span<const u8> head, std::size_t payload_bytes) {
  no_payload(payload_bytes);
  return with_frame(head, [](wire::Frame::Reader frame) {
    if (!frame.isBeat()) malformed("expected a heartbeat");
    return read_beat(frame.getBeat());
  });
}

std::pair<u64, Request> decode_request(std::span<const u8> head, std::size_t payload_bytes,
                                       const WireFormat& format) {
  return with_frame(head, [&](wire::Frame::Reader frame) -> std::pair<u64, Request> {
    if (frame.isMaskedTensor())
      return {frame.getId(),
              read_tensor<remo::MaskedTensor>(frame.getMaskedTensor(), payload_bytes, format)};
    no_payload(payload_bytes);
    if (frame.isHintRequest())
      return {frame.getId(), read_run<remo::HintRequest>(frame.getHintRequest())};
    if (frame.isWeightRequest())
      return {frame.getId(), read_run<remo::WeightRequest>(frame.getWeightRequest())};
    malformed("a request was expected");
  });
}

std::pair<u64, Reply> decode_reply(std::span<const u8> head, std::size_t payload_bytes,
                                   const WireFormat& format) {
  return with_frame(head, [&](wire::Frame::Reader frame) -> std::pair<u64, Reply> {
    if (frame.isProduct())
      return {frame.getId(),
              read_tensor<remo::WorkerProduct>(frame.getProduct(), payload_bytes, format)};
    if (frame.isWeightPanels()) {
      const auto in = frame.getWeightPanels();
      if (!panels_fit(in.getCount(), payload_bytes))
        malformed(fmt::format("{} panels do not make {} bytes", in.getCount(), payload_bytes));
      return {frame.getId(), read_run<remo::WeightPanels>(in)};
    }
    no_payload(payload_bytes);
    if (frame.isFailure()) return {frame.getId(), read_failure(frame.getFailure())};
    malformed("a reply was expected");
  });
}

void set_payload(Request& request, remo::SharedBytes bytes) {
  if (auto* tensor = std::get_if<remo::MaskedTensor>(&request)) tensor->bytes = std::move(bytes);
}

void set_payload(Reply& reply, remo::SharedBytes bytes) {
  if (auto* product = std::get_if<remo::WorkerProduct>(&reply))
    product->bytes = std::move(bytes);
  else if (auto* panels = std::get_if<remo::WeightPanels>(&reply))
    panels->bytes = std::move(bytes);
}

} // namespace talaria::transport
