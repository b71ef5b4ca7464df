#include "cli/worker/end_watch.hpp"

#include <boost/test/unit_test.hpp>
#include <unistd.h>

#include <csignal>
#include <string>
#include <thread>

// A program of its own: an EndWatch blocks the signals of the thread that makes it.
namespace talaria::cli {

BOOST_AUTO_TEST_CASE(a_worker_that_cannot_go_on_ends_with_the_first_reason) {
  EndWatch end(false);
  end.now_serving();
  std::thread([&end] {
    end.fail(Error(Errc::internal, "the device fell off the bus"));
    end.fail(Error(Errc::internal, "and everything after it failed, too"));
  }).join();
  BOOST_CHECK_EXCEPTION(end.wait(), Error, [](const Error& error) {
    return error.code() == Errc::internal &&
           std::string(error.what()) == "the device fell off the bus";
  });
}

BOOST_AUTO_TEST_CASE(a_reason_that_comes_before_serving_is_not_lost) {
  EndWatch end(false);
  end.fail(Error(Errc::internal, "early"));
  BOOST_CHECK_THROW(end.wait(), Error);
}

BOOST_AUTO_TEST_CASE(being_asked_to_end_is_no_failure) {
  EndWatch end(false);
  end.now_serving();
  ::kill(::getpid(), SIGTERM);
  BOOST_CHECK_NO_THROW(end.wait());
}

} // namespace talaria::cli
