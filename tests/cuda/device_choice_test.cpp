#include "kernels/cuda/device_choice.hpp"

#include <boost/test/unit_test.hpp>
#include <string>

#include "core/error.hpp"
#include "kernels/cuda/accelerator.hpp"

namespace talaria::kernels::cuda {

using Kind = DeviceChoice::Kind;

BOOST_AUTO_TEST_CASE(devices_are_read_as_they_are_written) {
  BOOST_CHECK(parse_device_choice("cpu").kind == Kind::cpu);
  BOOST_CHECK(parse_device_choice("auto").kind == Kind::automatic);
  BOOST_CHECK(parse_device_choice("cuda").kind == Kind::cuda);
  BOOST_CHECK(parse_device_choice("cuda").devices == std::vector{0});
  BOOST_CHECK(parse_device_choice("cuda:3").devices == std::vector{3});
  BOOST_CHECK((parse_device_choice("cuda:2,0,255").devices == std::vector{2, 0, 255}));
}

BOOST_AUTO_TEST_CASE(anything_else_is_refused_with_what_is_possible) {
  for (const std::string text : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:256", "cuda:0,",
                                 "cuda:,0", "cuda:0,0", "cuda:0 ", "cuda:0;1", "CPU"})
    BOOST_CHECK_EXCEPTION(parse_device_choice(text), Error, [&](const Error& error) {
      const std::string message = error.what();
      return error.code() == Errc::usage && message.starts_with("--device " + text + ":") &&
             message.find("cuda:N") != std::string::npos;
    });
}

BOOST_AUTO_TEST_CASE(auto_takes_a_device_exactly_if_there_is_a_usable_one) {
  bool usable = false;
  try {
    for (const DeviceInfo& device : find_devices()) usable = usable || device.usable();
  } catch (const Error& error) {
    BOOST_CHECK(error.code() == Errc::usage);
    BOOST_TEST(std::string(error.what()).find("--device cpu") != std::string::npos);
  }
  const auto choice = resolve({Kind::automatic});
  BOOST_CHECK((choice.kind == Kind::cuda) == usable);
  BOOST_TEST(choice.devices.size() == (usable ? 1U : 0U));
  BOOST_CHECK((resolve({Kind::cuda, {7}}).devices == std::vector{7}));
}

BOOST_AUTO_TEST_CASE(a_device_that_is_not_there_is_refused_with_a_way_out) {
  AcceleratorOptions options;
  options.modulus = Modulus(281474976694273);
  options.devices = {255};
  BOOST_CHECK_EXCEPTION(open_devices(options), Error, [](const Error& error) {
    const std::string message = error.what();
    return error.code() == Errc::usage &&
           (message.find("this machine has cuda:0") != std::string::npos ||
            message.find("--device cpu") != std::string::npos);
  });
}

} // namespace talaria::kernels::cuda
