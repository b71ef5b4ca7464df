// Only masked tensors can leave the process: every other message refuses to be written anywhere.
#include <boost/test/unit_test.hpp>

#include "actors/enclave/messages.hpp"
#include "actors/errors.hpp"

namespace talaria::enclave {

namespace {

template <class Message>
void check_refuses(const char* name) {
  caf::actor_system_config config;
  caf::actor_system system(config);
  Message message;
  std::vector<char> buffer;
  caf::binary_serializer out(system, buffer);
  BOOST_TEST(bool(out(message)), name << " was serialised");
  const std::vector<char> zeros(256);
  caf::binary_deserializer in(system, zeros);
  BOOST_TEST(bool(in(message)), name << " was deserialised");
  BOOST_TEST(buffer.empty(), name << " left bytes behind");
  BOOST_TEST(caf::deep_to_string(message).find("clear") != std::string::npos, name);
}

} // namespace

BOOST_AUTO_TEST_CASE(no_clear_message_has_a_serial_form) {
  check_refuses<Flow>("Flow");
  check_refuses<Pending>("Pending");
  check_refuses<Admit>("Admit");
  check_refuses<Enrol>("Enrol");
  check_refuses<Sampled>("Sampled");
  check_refuses<Failure>("Failure");
  check_refuses<Abandon>("Abandon");
  check_refuses<Forget>("Forget");
}

BOOST_AUTO_TEST_CASE(masked_tensors_travel_and_come_back_whole) {
  caf::actor_system_config config;
  caf::actor_system system(config);
  AlignedBuffer<u8> bytes(2 * 3 * 6);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<u8>(7 * i);
  remo::MaskedTensor tensor{9, remo::ProductKind::switched, 2, 3,
                            std::make_shared<const AlignedBuffer<u8>>(std::move(bytes))};
  std::vector<char> buffer;
  caf::binary_serializer out(system, buffer);
  BOOST_TEST_REQUIRE(!out(tensor));
  remo::MaskedTensor back;
  caf::binary_deserializer in(system, buffer);
  BOOST_TEST_REQUIRE(!in(back));
  BOOST_TEST(back.matrix == 9U);
  BOOST_CHECK(back.kind == remo::ProductKind::switched);
  BOOST_TEST(back.bytes->span() == tensor.bytes->span(), boost::test_tools::per_element());
  for (std::size_t cut = 0; cut < buffer.size(); ++cut) {
    const std::vector<char> part(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(cut));
    caf::binary_deserializer short_in(system, part);
    remo::MaskedTensor ignored;
    BOOST_TEST(bool(short_in(ignored)));
  }
}

BOOST_AUTO_TEST_CASE(a_header_that_announces_too_much_is_refused_before_memory_is_taken) {
  caf::actor_system_config config;
  caf::actor_system system(config);
  std::vector<char> buffer;
  caf::binary_serializer out(system, buffer);
  u32 matrix = 1;
  u8 kind = 0;
  u32 rows = 0xffffffff;
  u32 cols = 0xffffffff;
  u64 size = u64{1} << 60;
  BOOST_TEST_REQUIRE(!out(matrix, kind, rows, cols, size));
  caf::binary_deserializer in(system, buffer);
  remo::MaskedTensor tensor;
  BOOST_TEST(bool(in(tensor)));
}

BOOST_AUTO_TEST_CASE(errors_keep_code_and_text_through_caf) {
  for (const Errc code : {Errc::usage, Errc::verification, Errc::no_worker, Errc::internal}) {
    const Error back = from_caf(to_caf(Error(code, "layers.3.qkv: not the product")));
    BOOST_CHECK(back.code() == code);
    BOOST_TEST(back.what() == std::string("layers.3.qkv: not the product"));
  }
  BOOST_CHECK(from_caf(caf::sec::request_receiver_down).code() == Errc::no_worker);
}

} // namespace talaria::enclave
