#include "settings/reference.hpp"

#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "settings/table.hpp"

using namespace talaria;

BOOST_AUTO_TEST_SUITE(reference)

BOOST_AUTO_TEST_CASE(the_page_in_docs_is_the_one_that_the_table_makes) {
  std::ifstream file(std::filesystem::path(TALARIA_SOURCE_DIR) / "docs/configuration.md",
                     std::ios::binary);
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  BOOST_TEST((page == settings::reference_page()),
             "docs/configuration.md differs from the table of settings; make it anew: "
             "build/bin/talaria config reference > docs/configuration.md");
}

BOOST_AUTO_TEST_CASE(it_names_every_setting_flag_and_variable) {
  const std::string page = settings::reference_page();
  for (const auto& setting : settings::table()) {
    if (setting.is_in_file)
      BOOST_TEST(page.find("| `" + std::string(setting.key) + "` |") != std::string::npos,
                 setting.key);
    for (const char* name : {setting.flag, setting.variable})
      if (name != nullptr)
        BOOST_TEST(page.find("`" + std::string(name) + "`") != std::string::npos, name);
  }
  for (const auto& setting : settings::worker_table())
    BOOST_TEST(page.find("| `" + std::string(setting.key) + "` |") != std::string::npos,
               setting.key);
}

BOOST_AUTO_TEST_SUITE_END()
