#pragma once

#include <filesystem>
#include <string>

namespace aster::testing {

/// A certificate authority of its own, made by openssl(1) in a folder. Failures end the test
/// program with a message.
class TestAuthority {
 public:
  explicit TestAuthority(std::filesystem::path folder);

  /// PEM file of the authority itself.
  std::filesystem::path certificate() const { return folder_ / "ca.pem"; }

  struct Identity {
    std::filesystem::path certificate;
    std::filesystem::path key;
    std::string pin;  ///< "sha256//..." of its public key
  };
  struct Wish {
    std::string names = "IP:127.0.0.1,DNS:localhost";  ///< subjectAltName
    int days = 2;                                      ///< negative: has expired
  };
  /// NAME.pem and NAME.key in the folder; replaces those that are there.
  Identity issue(const std::string& name, const Wish& wish) const;
  Identity issue(const std::string& name) const { return issue(name, Wish()); }

 private:
  std::filesystem::path folder_;
};

}  // namespace aster::testing
