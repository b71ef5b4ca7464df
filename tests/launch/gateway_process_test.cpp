#include <boost/test/unit_test.hpp>

#include <signal.h>

#include <string>
#include <thread>

#include "launch/gateway_process.hpp"
#include "tests/launch/cluster_fixture.hpp"

using namespace talaria;
using launch::GatewayProcess;

namespace {

std::vector<std::string> role(const char* name) {
  return {LAUNCH_HELPER, name};
}

const auto nothing = [] {};

auto is_error(Errc code, const char* text) {
  return [code, text](const Error& error) {
    BOOST_TEST_MESSAGE(error.what());
    return error.code() == code && std::string(error.what()).find(text) != std::string::npos;
  };
}

} // namespace

BOOST_AUTO_TEST_SUITE(gateway_process)

BOOST_AUTO_TEST_CASE(a_gateway_that_is_ready_answers_and_ends_when_it_is_told) {
  GatewayProcess gateway(role("serve"));
  BOOST_TEST(tests::is_running(gateway.pid()));
  std::string workers;
  std::thread asking;
  const int status = gateway.run([&] {
    asking = std::thread([&] {
      workers = gateway.workers();
      gateway.request_stop();
      gateway.request_stop(); // it is told once
    });
  });
  asking.join();
  BOOST_TEST(status == 0);
  BOOST_TEST(workers == R"([{"name":"a"}])");
  BOOST_TEST(!tests::is_running(gateway.pid()));
  BOOST_TEST(gateway.workers() == "[]"); // nobody is asked any more
  gateway.request_stop();
}

BOOST_AUTO_TEST_CASE(the_error_of_a_gateway_is_passed_on) {
  GatewayProcess gateway(role("fail"));
  BOOST_CHECK_EXCEPTION(gateway.run(nothing), Error, is_error(Errc::no_worker, "nobody came"));
}

BOOST_AUTO_TEST_CASE(the_exit_status_of_a_gateway_is_passed_on) {
  GatewayProcess gateway(role("end-with-3"));
  bool was_ready = false;
  BOOST_TEST(gateway.run([&] { was_ready = true; }) == 3);
  BOOST_TEST(was_ready);
}

BOOST_AUTO_TEST_CASE(a_gateway_that_a_signal_killed_is_an_error) {
  GatewayProcess gateway(role("die"));
  BOOST_CHECK_EXCEPTION(gateway.run(nothing), Error, is_error(Errc::internal, "SIGABRT"));
}

BOOST_AUTO_TEST_CASE(a_stop_before_it_is_ready_is_a_cancellation) {
  GatewayProcess gateway(role("wait"));
  gateway.request_stop();
  BOOST_CHECK_EXCEPTION(gateway.run(nothing), Error, is_error(Errc::cancelled, "stopped"));
}

BOOST_AUTO_TEST_CASE(a_gateway_does_not_outlive_its_object) {
  pid_t pid = 0;
  {
    const GatewayProcess gateway(role("wait"));
    pid = gateway.pid();
  }
  BOOST_TEST(!tests::is_running(pid));
}

BOOST_AUTO_TEST_CASE(a_program_that_is_not_there_is_an_error) {
  BOOST_CHECK_EXCEPTION(GatewayProcess({"/nowhere/talaria-enclave"}), Error,
                        is_error(Errc::config, "/nowhere/talaria-enclave"));
}

BOOST_AUTO_TEST_SUITE_END()
