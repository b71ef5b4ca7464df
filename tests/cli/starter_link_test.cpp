#include "cli/enclave/starter_link.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>

namespace talaria::cli {

namespace {

/// The two ends, of which the first is the starter's.
struct Ends {
  Ends() {
    std::array<int, 2> ends{};
    BOOST_TEST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    starter = FileDescriptor(ends[0]);
    other = ends[1];
  }
  std::string line() const {
    std::string text;
    for (char c = 0; ::read(starter.get(), &c, 1) == 1 && c != '\n';) text += c;
    return text;
  }
  std::string ask() const {
    BOOST_TEST_REQUIRE(::write(starter.get(), "?", 1) == 1);
    return line();
  }

  FileDescriptor starter;
  int other = -1; ///< belongs to the StarterLink
};

} // namespace

BOOST_AUTO_TEST_SUITE(starter_link)

BOOST_AUTO_TEST_CASE(a_starter_is_told_and_answered) {
  const Ends ends;
  StarterLink link(ends.other);
  BOOST_TEST(link.has_starter());
  BOOST_TEST(ends.ask() == R"({"workers":[]})");
  link.publish_workers([] { return std::string(R"([{"name":"a"}])"); });
  link.ready();
  BOOST_TEST(ends.line() == R"({"ready":true})");
  BOOST_TEST(ends.ask() == R"({"workers":[{"name":"a"}]})");
  link.publish_workers(nullptr);
  BOOST_TEST(ends.ask() == R"({"workers":[]})");
  link.failed(Error(Errc::no_worker, "nobody \xff came"));
  BOOST_TEST(ends.line().find("\"failed\":" + std::to_string(static_cast<int>(Errc::no_worker))) !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_was_said_last_arrives_after_the_end) {
  const Ends ends;
  {
    StarterLink link(ends.other);
    link.failed(Error(Errc::io, "late"));
  }
  BOOST_TEST(ends.line().find("late") != std::string::npos);
  BOOST_TEST(ends.line().empty()); // the end
}

BOOST_AUTO_TEST_CASE(a_starter_that_is_gone_is_no_error) {
  Ends ends;
  StarterLink link(ends.other);
  ends.starter.reset();
  link.ready();
  link.failed(Error(Errc::io, "nobody reads this"));
}

BOOST_AUTO_TEST_CASE(without_a_starter_nothing_happens) {
  StarterLink link(-1);
  BOOST_TEST(!link.has_starter());
  link.ready();
  link.publish_workers([] { return std::string("[]"); });
}

BOOST_AUTO_TEST_CASE(a_descriptor_that_is_no_socket_is_refused_and_left_alone) {
  const FileDescriptor file(::open("/dev/null", O_RDWR | O_CLOEXEC));
  BOOST_CHECK_THROW(StarterLink(file.get()), Error);
  BOOST_TEST(::fcntl(file.get(), F_GETFD) != -1);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::cli
