#include "transport/wire_codec.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <cstring>
#include <limits>

#include "newer_wire.capnp.h"
#include "tests/transport/link_fixture.hpp"

namespace bdata = boost::unit_test::data;
using namespace talaria;
using namespace talaria::tests;

namespace {

const WireFormat kFormat = wire_format(identity_of("x"));
constexpr std::size_t kLimit = std::size_t{1} << 30;

/// A frame's parts as a receiver sees them.
struct Received {
  AlignedBuffer<u8> head;
  std::size_t payload_bytes = 0;
};
Received received(const OutFrame& frame) {
  const Prefix prefix = decode_prefix(std::span(frame.start).first<kPrefixBytes>(), kLimit);
  BOOST_REQUIRE(frame.size() == kPrefixBytes + prefix.head_bytes + prefix.payload_bytes);
  Received out{AlignedBuffer<u8>(prefix.head_bytes), prefix.payload_bytes};
  std::memcpy(out.head.data(), frame.start.data() + kPrefixBytes, prefix.head_bytes);
  return out;
}

/// The head of a message of the newer schema.
Received received(capnp::MessageBuilder& message, std::size_t payload_bytes) {
  const auto words = capnp::messageToFlatArray(message);
  Received out{AlignedBuffer<u8>(words.asBytes().size()), payload_bytes};
  std::memcpy(out.head.data(), words.begin(), out.head.size());
  return out;
}

template <class Decode>
std::string malformed(Decode&& decode) {
  const Error error = error_of(decode);
  BOOST_TEST((error.code() == Errc::verification));
  BOOST_TEST(contains(error.what(), "malformed frame: "), error.what());
  return error.what();
}

OutFrame tensor_frame(u64 id = 1) {
  return encode(id, Request(masked(3, 5, 1)), kFormat);
}

/// decode_request() of a tensor that announces these numbers.
std::string complaint_about(u64 rows, u64 columns, u16 kind, std::size_t payload_bytes) {
  capnp::MallocMessageBuilder message;
  auto tensor = message.initRoot<newer::Frame>().initMaskedTensor();
  tensor.setRows(rows);
  tensor.setColumns(columns);
  tensor.setKind(static_cast<newer::ProductKind>(kind));
  const Received r = received(message, payload_bytes);
  return malformed([&] { decode_request(r.head.span(), r.payload_bytes, kFormat); });
}

} // namespace

BOOST_AUTO_TEST_SUITE(wire_codec)

BOOST_AUTO_TEST_CASE(values_are_as_wide_as_both_ends_agreed) {
  BOOST_TEST(kFormat.residue_bytes == 6u);
  BOOST_TEST(kFormat.switched_bytes == 4u);
  Identity other = identity_of("x");
  other.parameters = "S54";
  other.modulus = 18014398492704769;
  BOOST_TEST(wire_format(other).residue_bytes == 7u);
  BOOST_TEST(wire_format(other).switched_bytes == 5u);
  other.parameters = "unheard of";
  BOOST_TEST(wire_format(other).switched_bytes == 0u);
  BOOST_TEST(wire_format(Identity{}).residue_bytes == 0u);
  BOOST_TEST(kFormat.rounded_bytes == 0u);
  other.parameters = "R43";
  other.modulus = 8796093008897;
  other.rounded_modulus = 1099511627689;
  BOOST_TEST(wire_format(other).residue_bytes == 6u);
  BOOST_TEST(wire_format(other).rounded_bytes == 5u);
  BOOST_TEST(wire_format(other).switched_bytes == 4u);
}

BOOST_AUTO_TEST_CASE(hellos_keep_every_field) {
  Hello hello;
  hello.role = Role::down;
  hello.session.fill(0xab);
  hello.identity = identity_of("gpu-a");
  hello.identity->weight_bytes = u64{1} << 40;
  hello.identity->rounded_modulus = 1099511627689;
  hello.identity->matrices.push_back({8, 1, 2, 3, 4, std::nullopt});
  hello.refusal = Error(Errc::config, "no");
  const Received r = received(encode(hello));
  const Hello back = decode_hello(r.head.span(), r.payload_bytes);
  BOOST_TEST((back.role == Role::down));
  BOOST_TEST((back.session == hello.session));
  BOOST_TEST((back.refusal->code() == Errc::no_worker)); // of a peer
  BOOST_TEST(back.refusal->what() == "config: no");
  BOOST_TEST(back.identity->name == "gpu-a");
  BOOST_TEST(back.identity->rounded_modulus == 1099511627689u);
  BOOST_TEST(back.identity->software == "test 0");
  BOOST_TEST(back.identity->device == "cpu");
  BOOST_TEST(back.identity->weight_bytes == u64{1} << 40);
  BOOST_TEST(!first_difference(*hello.identity, *back.identity).has_value());
  BOOST_TEST(!first_difference(*back.identity, *hello.identity).has_value());
  BOOST_TEST(!back.identity->matrices.at(1).digest.has_value());
}

BOOST_AUTO_TEST_CASE(a_plain_hello_has_neither_identity_nor_refusal) {
  const Received r = received(encode(Hello{}));
  const Hello back = decode_hello(r.head.span(), r.payload_bytes);
  BOOST_TEST(!back.identity.has_value());
  BOOST_TEST(!back.refusal.has_value());
}

BOOST_AUTO_TEST_CASE(whatever_code_a_peer_writes_it_is_one_code_and_a_short_line) {
  for (const Errc code : {Errc::usage, Errc::config, Errc::io, Errc::model, Errc::no_worker,
                          Errc::verification, Errc::bounds, Errc::cancelled, Errc::internal}) {
    const Received r = received(
        encode(5, Reply(Error(code, "why\n\x1b[2J" + std::string(5000, '\xfe'))), kFormat));
    const auto [id, reply] = decode_reply(r.head.span(), r.payload_bytes, kFormat);
    BOOST_TEST(id == 5u);
    BOOST_TEST((std::get<Error>(reply).code() == Errc::no_worker));
    const std::string text = std::get<Error>(reply).what();
    BOOST_TEST(text.starts_with(std::string(to_string(code)) + ": why??[2J????"), text);
    BOOST_TEST(text.size() < 300u);
  }
  capnp::MallocMessageBuilder message;
  message.initRoot<newer::Frame>().initFailure().setCode("too_modern\x07 for words");
  const Received r = received(message, 0);
  const auto reply = decode_reply(r.head.span(), 0, kFormat).second;
  BOOST_TEST((std::get<Error>(reply).code() == Errc::no_worker));
  BOOST_TEST(std::get<Error>(reply).what() == "too_modern? for : ");
}

BOOST_AUTO_TEST_CASE(large_payloads_are_shared_and_small_ones_travel_with_their_head) {
  const auto large = masked(1000, 96, 1);
  BOOST_TEST(encode(1, Request(large), kFormat).payload == large.bytes);
  BOOST_TEST(tensor_frame().payload == nullptr);
}

BOOST_AUTO_TEST_CASE(fields_of_a_later_version_are_ignored) {
  capnp::MallocMessageBuilder message;
  auto frame = message.initRoot<newer::Frame>();
  auto hello = frame.initHello();
  hello.setSession(kj::arrayPtr(reinterpret_cast<const capnp::byte*>("0123456789abcdef"), 16));
  hello.setRegion("mars");
  auto identity = hello.initIdentity();
  identity.setProtocolOldest(1);
  identity.setProtocolNewest(7);
  identity.setName("from the future");
  identity.setPublicSeed(capnp::Data::Reader(Sha256Digest{}.data(), 32));
  identity.setZone("b");
  const Received r = received(message, 0);
  const Hello back = decode_hello(r.head.span(), 0);
  BOOST_TEST(back.identity->name == "from the future");
  BOOST_TEST((common_protocol(*back.identity, Identity{}) == kProtocolNewest));

  capnp::MallocMessageBuilder second;
  auto tensor = second.initRoot<newer::Frame>().initMaskedTensor();
  tensor.setRows(2);
  tensor.setColumns(3);
  tensor.setUrgency(9);
  const Received t = received(second, 36);
  const auto request = decode_request(t.head.span(), 36, kFormat).second;
  BOOST_TEST(std::get<remo::MaskedTensor>(request).rows == 2u);
}

BOOST_AUTO_TEST_CASE(kinds_of_frames_of_a_later_version_are_refused) {
  capnp::MallocMessageBuilder message;
  message.initRoot<newer::Frame>().setFarewell("bye");
  const Received r = received(message, 0);
  malformed([&] { decode_request(r.head.span(), 0, kFormat); });
  malformed([&] { decode_reply(r.head.span(), 0, kFormat); });
  malformed([&] { decode_hello(r.head.span(), 0); });
  malformed([&] { decode_beat(r.head.span(), 0); });
}

BOOST_AUTO_TEST_CASE(a_frame_in_the_wrong_place_is_refused) {
  const Received request = received(tensor_frame());
  malformed([&] { decode_reply(request.head.span(), request.payload_bytes, kFormat); });
  malformed([&] { decode_beat(request.head.span(), 0); });
  const Received beat = received(encode(Beat{}));
  malformed([&] { decode_request(beat.head.span(), 0, kFormat); });
  malformed([&] { decode_hello(beat.head.span(), 0); });
}

BOOST_AUTO_TEST_CASE(words_about_evidence_come_back_as_they_were_sent) {
  const auto back = [](const OutFrame& frame) {
    const Received r = received(frame);
    return decode_control(r.head.span(), r.payload_bytes);
  };
  AttestRequest request;
  request.nonce.fill(7);
  request.nonce[31] = 9;
  BOOST_TEST((std::get<AttestRequest>(back(encode(request))).nonce == request.nonce));
  const Attested attested{std::chrono::seconds(3600)};
  BOOST_TEST(std::get<Attested>(back(encode(attested))).valid_for.count() == 3600);
  BOOST_TEST(std::get<Beat>(back(encode(Beat{1, 2, true}))).clock == 2);
  BOOST_TEST(std::string(std::get<Error>(back(encode_refusal("attestation", "image: x"))).what()) ==
             "attestation: image: x");
  const Received small = received(encode_evidence("{}"));
  BOOST_TEST(small.payload_bytes == 2u);
  BOOST_TEST(std::holds_alternative<Evidence>(decode_control(small.head.span(), 2)));
  const OutFrame large = encode_evidence(std::string(kMaxLinkEvidenceBytes, 'e'));
  BOOST_TEST_REQUIRE(large.payload != nullptr);
  BOOST_TEST(large.payload->size() == kMaxLinkEvidenceBytes);
}

BOOST_AUTO_TEST_CASE(words_about_evidence_keep_their_bounds) {
  const Received evidence = received(encode_evidence("{}"));
  malformed([&] { decode_control(evidence.head.span(), 0); });
  malformed([&] { decode_control(evidence.head.span(), kMaxLinkEvidenceBytes + 1); });
  const Received request = received(encode(AttestRequest{}));
  malformed([&] { decode_control(request.head.span(), 1); });
  malformed([&] { decode_request(request.head.span(), 0, kFormat); });
  malformed([&] { decode_hello(request.head.span(), 0); });
  const Received tensor = received(tensor_frame());
  malformed([&] { decode_control(tensor.head.span(), 0); });
  capnp::MallocMessageBuilder message;
  message.initRoot<newer::Frame>().initAttestRequest().initNonce(31);
  malformed([&] { decode_control(received(message, 0).head.span(), 0); });
  for (const std::size_t size : {std::size_t{0}, kMaxLinkEvidenceBytes + 1})
    BOOST_TEST(
        (error_of([&] { encode_evidence(std::string(size, 'e')); }).code() == Errc::internal));
}

BOOST_AUTO_TEST_CASE(shapes_must_make_the_bytes) {
  constexpr u64 kHuge = u64{1} << 60;
  complaint_about(kHuge, 96, 0, 0);
  complaint_about(kHuge, 16, 0, 0); // the product is 2^64 x 6: 0 if it wrapped
  complaint_about(u64{1} << 32, u64{1} << 32, 2, 0);
  complaint_about(u64{1} << 31, u64{1} << 31, 2, 0);
  complaint_about(3, 5, 0, 89);
  complaint_about(3, 5, 0, 91);
  complaint_about(3, 5, 2, 90);
  complaint_about(3, 5, 3, 14);
  complaint_about(3, 5, 3, 60); // what an answer would take
  complaint_about(3, 5, 4, 75); // words of a modulus that was not agreed on
  complaint_about(3, 5, 5, 75);
  BOOST_TEST(contains(complaint_about(3, 5, 6, 90), "unknown kind"));
  BOOST_TEST(contains(complaint_about(3, 5, 65535, 90), "unknown kind"));
}

BOOST_AUTO_TEST_CASE(what_traces_need_travels_only_if_there_is_something_to_say) {
  remo::MaskedTensor tensor = masked(3, 5, 1);
  const std::size_t unmarked = encode(1, Request(tensor), kFormat).size();
  tensor.mark = {0xabcdef, 42};
  tensor.received = 7; // the worker's own note
  const OutFrame frame = encode(1, Request(tensor), kFormat);
  BOOST_TEST(frame.size() > unmarked);
  const Received up = received(frame);
  const auto request = decode_request(up.head.span(), up.payload_bytes, kFormat).second;
  const auto& read = std::get<remo::MaskedTensor>(request);
  BOOST_TEST(read.mark.id == 0xabcdefU);
  BOOST_TEST(read.mark.micro_batch == 42U);
  BOOST_TEST(read.received == 0);

  auto product = std::get<remo::WorkerProduct>(echo(tensor));
  product.timing = {-1, std::numeric_limits<i64>::max(), 3, 4}; // whatever it says
  const Received down = received(encode(1, Reply(product), kFormat));
  const auto reply = decode_reply(down.head.span(), down.payload_bytes, kFormat).second;
  const auto& timing = std::get<remo::WorkerProduct>(reply).timing;
  BOOST_TEST(timing.received == -1);
  BOOST_TEST(timing.started == std::numeric_limits<i64>::max());
  BOOST_TEST(timing.finished == 3);
  BOOST_TEST(timing.joined_rows == 4U);
}

BOOST_AUTO_TEST_CASE(plain_int8_takes_a_byte_a_value_up_and_four_down) {
  const remo::MaskedTensor tensor{4, remo::ProductKind::int8, 3, 5, random_bytes(15, 1)};
  const Received up = received(encode(9, Request(tensor), kFormat));
  BOOST_TEST(up.payload_bytes == 15u);
  const auto request = decode_request(up.head.span(), up.payload_bytes, kFormat).second;
  BOOST_TEST((std::get<remo::MaskedTensor>(request).kind == remo::ProductKind::int8));

  remo::WorkerProduct product;
  product.kind = remo::ProductKind::int8;
  product.rows = 3;
  product.cols = 7;
  product.bytes = random_bytes(84, 2);
  const Received down = received(encode(9, Reply(product), kFormat));
  BOOST_TEST(down.payload_bytes == 84u);
  const auto reply = decode_reply(down.head.span(), down.payload_bytes, kFormat).second;
  BOOST_TEST((std::get<remo::WorkerProduct>(reply).kind == remo::ProductKind::int8));
  malformed([&] { decode_reply(down.head.span(), 21, kFormat); });
}

BOOST_AUTO_TEST_CASE(rounded_words_are_as_wide_as_their_modulus_and_need_one) {
  const WireFormat format{6, 5, 4};
  for (const auto kind : {remo::ProductKind::rounded, remo::ProductKind::rounded_switched}) {
    const std::size_t reply_bytes = remo::is_switched(kind) ? 4 : 5;
    const remo::MaskedTensor tensor{4, kind, 3, 5, random_bytes(3 * 5 * 5, 1)};
    const Received up = received(encode(9, Request(tensor), format));
    const auto request = decode_request(up.head.span(), up.payload_bytes, format).second;
    BOOST_TEST((std::get<remo::MaskedTensor>(request).kind == kind));
    malformed([&] { decode_request(up.head.span(), 3 * 5 * 6, format); });
    malformed([&] { decode_request(up.head.span(), up.payload_bytes, kFormat); });

    remo::WorkerProduct product;
    product.kind = kind;
    product.rows = 3;
    product.cols = 7;
    product.bytes = random_bytes(3 * 7 * reply_bytes, 2);
    const Received down = received(encode(9, Reply(product), format));
    const auto reply = decode_reply(down.head.span(), down.payload_bytes, format).second;
    BOOST_TEST((std::get<remo::WorkerProduct>(reply).kind == kind));
    malformed([&] { decode_reply(down.head.span(), down.payload_bytes, kFormat); });
    BOOST_CHECK_THROW(encode(9, Reply(product), kFormat), Error);
  }
}

BOOST_AUTO_TEST_CASE(kinds_that_were_not_agreed_on_cannot_travel) {
  const Received r = received(tensor_frame());
  malformed([&] { decode_request(r.head.span(), r.payload_bytes, WireFormat{}); });
  auto product = std::get<remo::WorkerProduct>(echo(masked(3, 5, 1)));
  BOOST_TEST((error_of([&] { encode(1, Reply(product), WireFormat{}); }).code() == Errc::internal));
}

BOOST_AUTO_TEST_CASE(panels_must_make_the_bytes) {
  remo::WeightPanels panels{kMatrix, 0, 3, random_bytes(3 * 256 * 2, 1)};
  const Received r = received(encode(1, Reply(panels), kFormat));
  BOOST_CHECK_NO_THROW(decode_reply(r.head.span(), r.payload_bytes, kFormat));
  for (const std::size_t bytes : {0, 1, 256, 3 * 256 - 1, 3 * 256 + 1})
    malformed([&] { decode_reply(r.head.span(), bytes, kFormat); });
}

BOOST_AUTO_TEST_CASE(payloads_belong_to_tensors_and_panels_alone) {
  const Received r = received(encode(1, Request(remo::HintRequest{1, 2, 3}), kFormat));
  malformed([&] { decode_request(r.head.span(), 8, kFormat); });
  const Received f = received(encode(1, Reply(Error(Errc::usage, "x")), kFormat));
  malformed([&] { decode_reply(f.head.span(), 8, kFormat); });
  const Received h = received(encode(Hello{}));
  malformed([&] { decode_hello(h.head.span(), 8); });
}

BOOST_AUTO_TEST_CASE(prefixes_are_checked_before_anything_is_taken) {
  const OutFrame good = tensor_frame();
  const auto with = [&](std::size_t at, u64 value, std::size_t bytes) {
    std::array<u8, kPrefixBytes> prefix;
    std::copy_n(good.start.begin(), kPrefixBytes, prefix.begin());
    std::memcpy(prefix.data() + at, &value, bytes);
    return malformed([&] { decode_prefix(prefix, 1 << 20); });
  };
  BOOST_TEST(contains(with(0, 0x31524c55, 4), "mark of this protocol"));
  for (const u64 head : {u64{0}, u64{12}, u64{kMaxHeadBytes + 8}, u64{0xfffffff8}})
    BOOST_TEST(contains(with(4, head, 4), "a head of"));
  for (const u64 payload : {u64{1} << 20, u64{1} << 60, ~u64{0}})
    BOOST_TEST(contains(with(8, payload, 8), "bytes announced"));
}

BOOST_AUTO_TEST_CASE(what_a_peer_calls_itself_is_one_printable_line) {
  Hello hello;
  hello.identity = identity_of("a\nb\x1b[2J\xff");
  hello.identity->device = std::string(10'000, 'x');
  const Received r = received(encode(hello));
  const Hello back = decode_hello(r.head.span(), 0);
  BOOST_TEST(back.identity->name == "a?b?[2J?");
  BOOST_TEST(back.identity->device.size() == 128u);
}

BOOST_AUTO_TEST_CASE(an_identity_of_very_many_matrices_is_refused_by_both_ends) {
  Hello hello;
  hello.identity = identity_of("big");
  hello.identity->matrices.resize(5'000, hello.identity->matrices[0]);
  const Received r = received(encode(hello));
  BOOST_TEST(decode_hello(r.head.span(), 0).identity->matrices.size() == 5'000u);
  hello.identity->matrices.resize(20'000, hello.identity->matrices[0]);
  BOOST_TEST((error_of([&] { encode(hello); }).code() == Errc::internal));
}

BOOST_DATA_TEST_CASE(a_head_with_any_byte_changed_is_refused_or_understood, bdata::xrange(4),
                     kind) {
  Hello hello;
  hello.identity = identity_of("gpu-a");
  hello.refusal = Error(Errc::config, "no");
  const OutFrame frames[] = {
      encode(hello), encode(Beat{1, 2, true}), tensor_frame(),
      encode(9, Reply(std::get<remo::WorkerProduct>(echo(masked(3, 5, 1)))), kFormat)};
  const Received good = received(frames[kind]);
  for (std::size_t at = 0; at < good.head.size(); ++at)
    for (const int flip : {0x01, 0x80, 0xff}) {
      Received bad = received(frames[kind]);
      bad.head[at] = static_cast<u8>(bad.head[at] ^ flip);
      try {
        switch (kind) {
        case 0:
          decode_hello(bad.head.span(), bad.payload_bytes);
          break;
        case 1:
          decode_beat(bad.head.span(), bad.payload_bytes);
          break;
        case 2:
          decode_request(bad.head.span(), bad.payload_bytes, kFormat);
          break;
        default:
          decode_reply(bad.head.span(), bad.payload_bytes, kFormat);
        }
      } catch (const Error& error) {
        BOOST_TEST((error.code() == Errc::verification));
      }
    }
}

BOOST_AUTO_TEST_SUITE_END()
