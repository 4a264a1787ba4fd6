#include "protocol/object_key.h"

#include "tests/fuzz/fuzz.h"

/// A normalised key stays as it is, never leaves its namespace, and survives encoding.
void fuzz_one(std::string_view input) {
  using namespace aster;
  const auto key = normalize_key(input);
  if (!key.ok()) return;
  EXPECT(normalize_key(*key).ok() && *normalize_key(*key) == *key);
  EXPECT(key->find('\0') == std::string::npos && key->find('\\') == std::string::npos);
  const std::string framed = "/" + *key + "/";
  EXPECT(framed.find("/../") == std::string::npos);
  if (*key != ".") EXPECT(framed.find("//") == std::string::npos);
  const auto path = object_path("ns", *key);
  EXPECT(path.ok() == (*key != "."));
  if (path.ok()) EXPECT(*path == "ns/" + *key);
  (void)normalize_base_path(input);
  (void)encode_target_key(input);
  const auto encoded = encode_key(*key);
  if (encoded.ok()) {
    for (const char c : *encoded) EXPECT(c > ' ' && c < 127);
  }
}
