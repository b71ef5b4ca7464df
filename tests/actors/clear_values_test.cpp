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

BOOST_AUTO_TEST_CASE(errors_keep_code_and_text_through_caf) {
  for (const Errc code : {Errc::usage, Errc::verification, Errc::no_worker, Errc::internal}) {
    const Error back = from_caf(to_caf(Error(code, "layers.3.qkv: not the product")));
    BOOST_CHECK(back.code() == code);
    BOOST_TEST(back.what() == std::string("layers.3.qkv: not the product"));
  }
  BOOST_CHECK(from_caf(caf::sec::request_receiver_down).code() == Errc::no_worker);
}

} // namespace talaria::enclave
