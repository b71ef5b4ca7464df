// Files that cannot be used are refused at the start, by name.

#include <boost/test/unit_test.hpp>

#include <openssl/pem.h>

#include <fstream>

#include "tests/transport/link_fixture.hpp"
#include "transport/x509.hpp"

using namespace talaria;
using namespace talaria::tests;
namespace fs = std::filesystem;

namespace {

/// A folder of good files, to be spoiled.
struct Files {
  TemporaryFolder folder;
  TlsFiles enclave;

  Files() {
    for (const char* name : {"ca.pem", "enclave.pem", "enclave.key", "localhost.key"})
      fs::copy_file(certificates().folder.path() / name, folder.path() / name);
    enclave = {folder.path() / "ca.pem", folder.path() / "enclave.pem",
               folder.path() / "enclave.key"};
  }
  void write(const fs::path& file, std::string_view text) const {
    std::ofstream(file).write(text.data(), static_cast<long>(text.size()));
  }
  /// Replaces the enclave's pair by one valid between these hours from now.
  void issue(CertificateUse use, int starts_h, int ends_h) const {
    const auto now = std::chrono::system_clock::now();
    const Credential ca =
        Credential::read(certificates().files("ca").cert, certificates().files("ca").key);
    const Credential made =
        Credential::create({"talaria-enclave", use, now + std::chrono::hours(starts_h),
                            now + std::chrono::hours(ends_h)},
                           &ca);
    write(enclave.cert, made.certificate_pem());
    const auto key = made.key_pem();
    write(enclave.key, {key.data(), key.size()});
  }
  /// The complaint, which must name `file`.
  std::string complaint(const fs::path& file) const {
    const Error error = error_of([this] { TlsContext(enclave, End::enclave); });
    BOOST_TEST((error.code() == Errc::config));
    BOOST_TEST(contains(error.what(), file.string()), error.what());
    BOOST_TEST(!contains(error.what(), "\n"), error.what());
    return error.what();
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(tls_context)

BOOST_AUTO_TEST_CASE(good_files_are_taken) {
  const Files files;
  BOOST_CHECK_NO_THROW(TlsContext(files.enclave, End::enclave));
}

BOOST_AUTO_TEST_CASE(files_that_are_missing) {
  for (const auto member : {&TlsFiles::ca, &TlsFiles::cert, &TlsFiles::key}) {
    const Files files;
    fs::remove(files.enclave.*member);
    BOOST_TEST(contains(files.complaint(files.enclave.*member), "No such file"));
  }
}

BOOST_AUTO_TEST_CASE(files_that_are_not_pem) {
  for (const auto member : {&TlsFiles::ca, &TlsFiles::cert, &TlsFiles::key}) {
    const Files files;
    files.write(files.enclave.*member, "hello\n");
    BOOST_TEST(contains(files.complaint(files.enclave.*member), "PEM format"));
  }
}

BOOST_AUTO_TEST_CASE(a_key_of_another_certificate) {
  const Files files;
  fs::copy_file(files.folder.path() / "localhost.key", files.enclave.key,
                fs::copy_options::overwrite_existing);
  BOOST_TEST(contains(files.complaint(files.enclave.key), "does not belong to"));
}

BOOST_AUTO_TEST_CASE(a_key_that_others_may_read) {
  for (const auto extra : {fs::perms::group_read, fs::perms::others_read}) {
    const Files files;
    fs::permissions(files.enclave.key, extra, fs::perm_options::add);
    BOOST_TEST(contains(files.complaint(files.enclave.key), "chmod 600"));
  }
}

BOOST_AUTO_TEST_CASE(certificates_outside_their_time) {
  const Files files;
  files.issue(CertificateUse::client, -2, -1);
  BOOST_TEST(contains(files.complaint(files.enclave.cert), "has expired"));
  files.issue(CertificateUse::client, 1, 2);
  BOOST_TEST(contains(files.complaint(files.enclave.cert), "not valid yet"));
}

BOOST_AUTO_TEST_CASE(a_certificate_of_the_other_end) {
  const Files files;
  files.issue(CertificateUse::server, -1, 1);
  BOOST_TEST(contains(files.complaint(files.enclave.cert), "clientAuth"));
  BOOST_TEST((error_of([] { TlsContext(certificates().files("enclave"), End::worker); }).code() ==
              Errc::config));
}

BOOST_AUTO_TEST_CASE(an_encrypted_key_is_refused_without_asking) {
  const Files files;
  FILE* in = std::fopen(files.enclave.key.c_str(), "r");
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_PrivateKey(in, nullptr, nullptr, nullptr), EVP_PKEY_free);
  std::fclose(in);
  FILE* out = std::fopen(files.enclave.key.c_str(), "w");
  unsigned char phrase[] = "pass";
  PEM_write_PKCS8PrivateKey(
      out, key.get(), EVP_aes_128_cbc(), nullptr, 0,
      [](char* buffer, int, int, void* text) {
        std::copy_n(static_cast<char*>(text), 4, buffer);
        return 4;
      },
      phrase);
  std::fclose(out);
  BOOST_TEST(contains(files.complaint(files.enclave.key), "passphrase"));
}

BOOST_AUTO_TEST_SUITE_END()
