#include "tests/support/test_authority.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace aster::testing {
namespace {

const std::vector<std::string> kNewKey = {"-newkey", "ec", "-pkeyopt",
                                          "ec_paramgen_curve:prime256v1", "-nodes"};

/// What openssl prints.
std::string openssl(const std::filesystem::path& folder, std::vector<std::string> arguments) {
  Process::Options options;
  arguments.insert(arguments.begin(), "openssl");
  options.argv = std::move(arguments);
  options.output = folder / "openssl.out";
  std::filesystem::remove(options.output);
  auto process = Process::spawn(std::move(options));
  const int status = process.ok() ? process->wait().value_or(-1) : -1;
  std::string output = read_file(folder / "openssl.out");
  if (status == 0) return output;
  std::fprintf(stderr, "openssl failed with %d: %s\n", status, output.c_str());
  std::abort();
}

std::vector<std::string> with_key(std::vector<std::string> before,
                                  const std::vector<std::string>& after) {
  before.insert(before.end(), kNewKey.begin(), kNewKey.end());
  before.insert(before.end(), after.begin(), after.end());
  return before;
}

}  // namespace

TestAuthority::TestAuthority(std::filesystem::path folder) : folder_(std::move(folder)) {
  std::filesystem::create_directories(folder_);
  openssl(folder_, with_key({"req", "-x509"}, {"-keyout", folder_ / "ca.key", "-out", certificate(),
                                               "-days", "2", "-subj", "/CN=Test authority"}));
}

TestAuthority::Identity TestAuthority::issue(const std::string& name, const Wish& wish) const {
  Identity made{folder_ / (name + ".pem"), folder_ / (name + ".key"), {}};
  const std::filesystem::path request = folder_ / (name + ".csr");
  const std::filesystem::path extensions = folder_ / (name + ".ext");
  write_file(extensions, "subjectAltName=" + wish.names + "\n");
  openssl(folder_,
          with_key({"req"}, {"-keyout", made.key, "-out", request, "-subj", "/CN=" + name}));
  openssl(folder_, {"x509", "-req", "-in", request, "-CA", certificate(), "-CAkey",
                    folder_ / "ca.key", "-CAcreateserial", "-days", std::to_string(wish.days),
                    "-extfile", extensions, "-out", made.certificate});
  const std::filesystem::path der = folder_ / (name + ".der");
  openssl(folder_, {"pkey", "-in", made.key, "-pubout", "-outform", "DER", "-out", der});
  const std::filesystem::path hash = folder_ / (name + ".hash");
  openssl(folder_, {"dgst", "-sha256", "-binary", "-out", hash, der});
  std::string base64 = openssl(folder_, {"base64", "-A", "-in", hash});
  while (!base64.empty() && base64.back() == '\n') base64.pop_back();
  made.pin = "sha256//" + base64;
  return made;
}

}  // namespace aster::testing
