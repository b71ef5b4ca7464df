#include "core/vm_generation.hpp"

#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <future>
#include <string>
#include <string_view>

using namespace talaria;
using namespace std::string_literals;

namespace {

/// Bytes of a pipe as news: 'y' says that the generation changed.
class PipeSource final : public VmGenerationSource {
public:
  explicit PipeSource(int fd) : fd_(fd) {}
  int descriptor() const noexcept override { return fd_; }
  bool changed() override {
    char news = 0;
    return ::read(fd_, &news, 1) == 1 && news == 'y';
  }

private:
  int fd_;
};

bool tells(const std::string& event) {
  return tells_new_generation({event.data(), event.size()});
}

} // namespace

BOOST_AUTO_TEST_SUITE(vm_generation)

BOOST_AUTO_TEST_CASE(the_event_is_known_by_its_variable) {
  BOOST_TEST(tells("change@/devices/platform/vmgenid\0ACTION=change\0SUBSYSTEM=platform\0"
                   "NEW_VMGENID=1\0SEQNUM=7\0"s));
  BOOST_TEST(tells("NEW_VMGENID=1"s));
  BOOST_TEST(!tells(""s));
  BOOST_TEST(!tells("\0\0"s));
  BOOST_TEST(!tells("change@/devices/NEW_VMGENID=1\0ACTION=change\0"s));
  BOOST_TEST(!tells("change@/x\0NEW_VMGENID=10\0OLD_NEW_VMGENID=1\0NEW_VMGENID="s));
}

BOOST_AUTO_TEST_CASE(every_change_is_told_and_nothing_else) {
  int pipe[2];
  BOOST_REQUIRE(::pipe(pipe) == 0);
  std::promise<void> told;
  int changes = 0;
  {
    const VmGenerationWatch watch(std::make_unique<PipeSource>(pipe[0]), [&] {
      if (++changes == 2) told.set_value();
    });
    BOOST_REQUIRE(::write(pipe[1], "nynyn", 5) == 5);
    told.get_future().wait();
  }
  BOOST_TEST(changes == 2);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

BOOST_AUTO_TEST_CASE(a_watch_without_a_source_or_without_news_ends) {
  const VmGenerationWatch none(nullptr, [] {});
  const VmGenerationWatch kernel(kernel_vm_generation(), [] {});
}

BOOST_AUTO_TEST_SUITE_END()
