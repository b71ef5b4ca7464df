#include "transport/certificates.hpp"

#include <boost/test/unit_test.hpp>

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "tests/transport/link_fixture.hpp"
#include "transport/x509.hpp"

using namespace talaria;
using namespace talaria::tests;
namespace fs = std::filesystem;

namespace {

using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Certificate load(const fs::path& file) {
  FILE* in = std::fopen(file.c_str(), "r");
  BOOST_REQUIRE(in != nullptr);
  Certificate certificate(PEM_read_X509(in, nullptr, nullptr, nullptr), X509_free);
  std::fclose(in);
  BOOST_REQUIRE(certificate != nullptr);
  return certificate;
}

/// OpenSSL's verdict on `file` for a purpose, trusting only the folder's authority.
int verdict(const fs::path& dir, const std::string& file, int purpose) {
  const Certificate authority = load(dir / "ca.pem");
  const Certificate leaf = load(dir / file);
  const std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(),
                                                                      X509_STORE_free);
  X509_STORE_add_cert(store.get(), authority.get());
  const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> context(
      X509_STORE_CTX_new(), X509_STORE_CTX_free);
  X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), nullptr);
  X509_STORE_CTX_set_purpose(context.get(), purpose);
  X509_verify_cert(context.get());
  return X509_STORE_CTX_get_error(context.get());
}

std::string read(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> listing(const fs::path& dir) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(dir)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

/// A folder for certificates, with room beside it for the authority's key.
class CertificateFolder {
public:
  CertificateFolder() { fs::create_directory(path()); }
  fs::path path() const { return folder_.path() / "certs"; }

private:
  TemporaryFolder folder_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(certificates_init)

BOOST_AUTO_TEST_CASE(the_files_have_their_names_and_keys_are_private) {
  const CertificateFolder folder;
  const fs::path dir = folder.path() / "new" / "certs";
  const auto written = create_certificates(dir, {"gpu-a", "10.0.0.5", "::1", "gpu-a"});
  const std::vector<std::string> expected{"10.0.0.5.key", "10.0.0.5.pem", "::1.key",
                                          "::1.pem",      "ca.pem",       "enclave.key",
                                          "enclave.pem",  "gpu-a.key",    "gpu-a.pem"};
  BOOST_TEST(listing(dir) == expected, boost::test_tools::per_element());
  BOOST_TEST(written.size() == expected.size() + 1); // and the authority's key
  for (const fs::path& file : written) {
    struct stat status {};
    BOOST_REQUIRE(::stat(file.c_str(), &status) == 0);
    BOOST_TEST((status.st_mode & 0777) == (file.extension() == ".key" ? 0600u : 0644u), file);
  }
}

BOOST_AUTO_TEST_CASE(the_authority_has_its_key_in_a_folder_that_goes_nowhere) {
  const CertificateFolder folder;
  create_certificates(folder.path(), {"gpu-a"});
  const fs::path key = authority_folder(folder.path()) / "ca.key";
  BOOST_TEST(key.parent_path().filename() == "certs-authority");
  BOOST_TEST(authority_folder(folder.path() / "") == key.parent_path()); // a slash at the end
  struct stat status {};
  BOOST_REQUIRE(::stat(key.parent_path().c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 0777) == 0700u);
  BOOST_TEST(!fs::exists(folder.path() / "ca.key"));
}

BOOST_AUTO_TEST_CASE(a_key_that_is_off_line_is_missed_only_when_something_is_to_be_signed) {
  const CertificateFolder folder;
  create_certificates(folder.path(), {"gpu-a"});
  const fs::path away = folder.path().parent_path() / "away";
  fs::rename(authority_folder(folder.path()), away);
  BOOST_TEST(create_certificates(folder.path(), {"gpu-a"}).empty());
  const Error missing = error_of([&] { create_certificates(folder.path(), {"gpu-b"}); });
  BOOST_TEST((missing.code() == Errc::config));
  BOOST_TEST(contains(missing.what(), "--authority"), missing.what());
  CertificateOptions options;
  options.authority = away;
  BOOST_TEST(create_certificates(folder.path(), {"gpu-b"}, options).size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_key_beside_the_certificates_of_an_older_version_is_used_where_it_is) {
  const CertificateFolder folder;
  CertificateOptions options;
  options.authority = folder.path();
  create_certificates(folder.path(), {"gpu-a"}, options);
  BOOST_TEST(fs::exists(folder.path() / "ca.key"));
  BOOST_TEST(create_certificates(folder.path(), {"gpu-b"}).size() == 2u);
  BOOST_TEST(!fs::exists(authority_folder(folder.path())));
}

BOOST_AUTO_TEST_CASE(chains_verify_for_their_own_purpose_only) {
  const CertificateFolder folder;
  create_certificates(folder.path(), {"gpu-a"});
  BOOST_TEST(verdict(folder.path(), "gpu-a.pem", X509_PURPOSE_SSL_SERVER) == X509_V_OK);
  BOOST_TEST(verdict(folder.path(), "gpu-a.pem", X509_PURPOSE_SSL_CLIENT) != X509_V_OK);
  BOOST_TEST(verdict(folder.path(), "enclave.pem", X509_PURPOSE_SSL_CLIENT) == X509_V_OK);
  BOOST_TEST(verdict(folder.path(), "enclave.pem", X509_PURPOSE_SSL_SERVER) != X509_V_OK);
}

BOOST_AUTO_TEST_CASE(names_are_subject_alternatives) {
  const CertificateFolder folder;
  CertificateOptions options;
  options.enclave_name = "bank.example.org";
  create_certificates(folder.path(), {"gpu-a", "10.0.0.5", "2001:db8::1"}, options);
  BOOST_TEST(certificate_names(folder.path() / "gpu-a.pem", "gpu-a"));
  BOOST_TEST(!certificate_names(folder.path() / "gpu-a.pem", "gpu-b"));
  BOOST_TEST(certificate_names(folder.path() / "10.0.0.5.pem", "10.0.0.5"));
  BOOST_TEST(certificate_names(folder.path() / "2001:db8::1.pem", "2001:db8:0::1"));
  BOOST_TEST(certificate_names(folder.path() / "enclave.pem", "bank.example.org"));
  BOOST_TEST(!certificate_names(folder.path() / "enclave.pem", "talaria-enclave"));
}

BOOST_AUTO_TEST_CASE(hosts_are_added_later_and_nothing_is_overwritten) {
  const CertificateFolder folder;
  create_certificates(folder.path(), {"gpu-a"});
  std::map<std::string, std::string> before;
  for (const auto& name : listing(folder.path())) before[name] = read(folder.path() / name);
  const auto written = create_certificates(folder.path(), {"gpu-a", "gpu-b"});
  BOOST_TEST(written.size() == 2u);
  for (const auto& [name, content] : before)
    BOOST_TEST((read(folder.path() / name) == content), name);
  BOOST_TEST(verdict(folder.path(), "gpu-b.pem", X509_PURPOSE_SSL_SERVER) == X509_V_OK);
  BOOST_TEST(create_certificates(folder.path(), {"gpu-a", "gpu-b"}).empty());
}

BOOST_AUTO_TEST_CASE(no_certificate_outlives_its_authority) {
  const CertificateFolder folder;
  const auto now = std::chrono::system_clock::now();
  const Credential ca = Credential::create(
      {"short", CertificateUse::authority, now, now + std::chrono::hours(24)}, nullptr);
  std::ofstream(folder.path() / "ca.pem") << ca.certificate_pem();
  const auto key = ca.key_pem();
  std::ofstream(folder.path() / "ca.key").write(key.data(), static_cast<long>(key.size()));
  create_certificates(folder.path(), {"gpu-a"});
  const Credential host =
      Credential::read(folder.path() / "gpu-a.pem", folder.path() / "gpu-a.key");
  BOOST_TEST((host.ends() <= ca.ends() + std::chrono::seconds(2)));
  BOOST_TEST(verdict(folder.path(), "gpu-a.pem", X509_PURPOSE_SSL_SERVER) == X509_V_OK);
}

BOOST_AUTO_TEST_CASE(hosts_that_cannot_be_names_are_refused_and_nothing_is_written) {
  const CertificateFolder folder;
  for (const char* host : {"", "a b", "../gpu", "gpu,DNS:evil", "ca", "enclave", "-x", ".x", "x.",
                           "*.example.org", "g\npu"}) {
    const fs::path dir = folder.path() / "certs";
    const Error error = error_of([&] { create_certificates(dir, {"gpu-a", host}); });
    BOOST_TEST((error.code() == Errc::usage), host);
    BOOST_TEST(!fs::exists(dir), host);
  }
  CertificateOptions options;
  for (const int days : {0, -1, 3651}) {
    options.days = days;
    BOOST_TEST((error_of([&] { create_certificates(folder.path(), {"x"}, options); }).code() ==
                Errc::usage));
  }
  BOOST_TEST(listing(folder.path()).empty());
}

BOOST_AUTO_TEST_CASE(a_failure_in_the_middle_leaves_nothing_behind) {
  const CertificateFolder folder;
  const fs::path obstacle = folder.path() / "gpu-b.pem"; // a link to nowhere can only be run into
  fs::create_symlink(folder.path() / "nowhere", obstacle);
  const Error error = error_of([&] { create_certificates(folder.path(), {"gpu-a", "gpu-b"}); });
  BOOST_TEST((error.code() == Errc::io));
  const std::vector<std::string> expected{"gpu-b.pem"};
  BOOST_TEST(listing(folder.path()) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(half_a_pair_and_a_broken_authority_are_named) {
  const CertificateFolder folder;
  create_certificates(folder.path(), {"gpu-a"});
  fs::remove(folder.path() / "gpu-a.key");
  const Error half = error_of([&] { create_certificates(folder.path(), {"gpu-a"}); });
  BOOST_TEST((half.code() == Errc::config));
  BOOST_TEST(contains(half.what(), "gpu-a.key is missing beside gpu-a.pem"), half.what());
  fs::copy_file(folder.path() / "enclave.key", folder.path() / "ca.key",
                fs::copy_options::overwrite_existing);
  const Error broken = error_of([&] { create_certificates(folder.path(), {"gpu-c"}); });
  BOOST_TEST((broken.code() == Errc::config));
  BOOST_TEST(contains(broken.what(), "ca.key"), broken.what());
}

BOOST_AUTO_TEST_CASE(a_leaf_is_no_authority) {
  const CertificateFolder folder;
  create_certificates(folder.path(), {"gpu-a"});
  for (const char* end : {".pem", ".key"})
    fs::copy_file(folder.path() / (std::string("gpu-a") + end),
                  folder.path() / (std::string("ca") + end), fs::copy_options::overwrite_existing);
  const Error error = error_of([&] { create_certificates(folder.path(), {"gpu-c"}); });
  BOOST_TEST((error.code() == Errc::config));
  BOOST_TEST(contains(error.what(), "no authority"), error.what());
}

BOOST_AUTO_TEST_CASE(an_enclave_certificate_of_another_name_is_not_taken_for_this_one) {
  const CertificateFolder folder;
  create_certificates(folder.path(), {});
  CertificateOptions options;
  options.enclave_name = "other";
  BOOST_TEST(
      (error_of([&] { create_certificates(folder.path(), {}, options); }).code() == Errc::config));
}

BOOST_AUTO_TEST_SUITE_END()
