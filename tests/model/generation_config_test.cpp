#include "model/generation_config.hpp"

#include "tests/model/model_folder.hpp"

using namespace talaria;
using namespace talaria::model;
using namespace talaria::test;

BOOST_AUTO_TEST_CASE(a_folder_without_generation_config_has_no_defaults) {
  TemporaryFolder folder;
  const GenerationConfig config = load_generation_config(folder.path());
  BOOST_TEST((!config.do_sample && !config.temperature && !config.top_p && !config.top_k &&
              !config.repetition_penalty && !config.bos && config.eos.empty()));
}

BOOST_AUTO_TEST_CASE(every_field_is_read_and_null_is_absent) {
  TemporaryFolder folder;
  folder.write("generation_config.json",
               R"({"do_sample":true,"temperature":0.6,"top_p":0.9,"top_k":50,"eos_token_id":[7,8],)"
               R"("repetition_penalty":1.05,"bos_token_id":6,"max_length":20,"unknown":{"a":[]}})");
  const GenerationConfig config = load_generation_config(folder.path());
  BOOST_TEST(config.do_sample.value());
  BOOST_TEST(config.temperature.value() == 0.6f);
  BOOST_TEST(config.top_p.value() == 0.9f);
  BOOST_TEST(config.top_k.value() == 50u);
  BOOST_TEST(config.repetition_penalty.value() == 1.05f);
  BOOST_TEST(config.bos.value() == 6u);
  BOOST_TEST(config.eos == (std::vector<u32>{7, 8}), boost::test_tools::per_element());
  folder.write("generation_config.json", R"({"temperature":null,"eos_token_id":9})");
  const GenerationConfig sparse = load_generation_config(folder.path());
  BOOST_TEST(!sparse.temperature);
  BOOST_TEST(sparse.eos == std::vector<u32>{9}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_shipped_generation_config_is_understood) {
  const auto config =
      load_generation_config(std::filesystem::path(TALARIA_SOURCE_DIR) / "models/talaria-tiny");
  BOOST_TEST(!config.do_sample.value());
  BOOST_TEST(config.bos.value() == 4092u);
  BOOST_TEST(config.eos == (std::vector<u32>{4095, 4093}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_wrong_field_is_an_error_naming_file_and_field) {
  TemporaryFolder folder;
  const std::pair<const char*, const char*> cases[] = {
      {R"({"do_sample":1})", "do_sample"},
      {R"({"temperature":"hot"})", "temperature"},
      {R"({"temperature":-1})", "temperature"},
      {R"({"temperature":1e300})", "temperature"},
      {R"({"top_p":0})", "top_p"},
      {R"({"top_p":1.5})", "top_p"},
      {R"({"top_k":-1})", "top_k"},
      {R"({"top_k":1.5})", "top_k"},
      {R"({"repetition_penalty":0})", "repetition_penalty"},
      {R"({"eos_token_id":"x"})", "eos_token_id"},
      {R"({"eos_token_id":[1,16777216]})", "eos_token_id"},
      {R"({"bos_token_id":{}})", "bos_token_id"},
      {R"({"top_k":1,"top_k":2})", "top_k"},
      {R"([1])", "object"},
      {R"({"top_k":)", "JSON"},
  };
  for (const auto& [text, field] : cases) {
    const auto path = folder.write("generation_config.json", std::string_view(text));
    check_error([&] { load_generation_config(folder.path()); }, Errc::model,
                {path.string(), field});
  }
}
