#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace talaria::transport {

struct CertificateOptions {
  int days = 825; ///< validity, 1 to 3650; never beyond the authority's
  std::string enclave_name = "talaria-enclave"; ///< DNS name in the enclave's certificate
  std::filesystem::path authority; ///< folder of the authority's key; empty: authority_folder()
};

/// Where the authority of DIR has its key unless told otherwise: "DIR-authority", beside DIR.
/// Whoever has the key can make enclaves and workers, so it is in no folder that goes to one of
/// them.
std::filesystem::path authority_folder(const std::filesystem::path& dir);

/// What people without an authority of their own need (`talaria certs init DIR --hosts ...`):
///
///   DIR/ca.pem                     the authority's certificate, ten years
///   DIR-authority/ca.key           its key: off line is the best place. One in DIR is used if
///   there DIR/enclave.pem  enclave.key   clientAuth only, named `enclave_name` DIR/HOST.pem
///   HOST.key      for each host; serverAuth only, named HOST (DNS or IP address)
///
/// EC P-256; keys have mode 0600. An authority in DIR is kept and used, so that hosts can be added
/// later; certificates in DIR are kept as they are. Returns the files written, which may be none.
/// If it throws, it has written nothing.
/// @throws Error{usage} for a host that is no name or address, or too many days; Error{config} for
/// an authority or a pair of files in DIR that cannot be used; Error{io} if DIR cannot be written.
std::vector<std::filesystem::path> create_certificates(const std::filesystem::path& dir,
                                                       const std::vector<std::string>& hosts,
                                                       const CertificateOptions& options = {});

} // namespace talaria::transport
