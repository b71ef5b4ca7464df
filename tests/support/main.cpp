#define BOOST_TEST_MODULE talaria
#include <boost/test/unit_test.hpp>
