#include "fuse/kernel/self_errors.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace aster {
namespace {

Filesystem::UnsentFile file_with(Errc code, std::string context, std::string path) {
  return {{InodeNo(7), Error{code, std::move(context)}, 1'700'000'000'123'456'789, 3},
          std::move(path)};
}

TEST(SelfErrors, nothing_is_nothing) {
  EXPECT_EQ(errors_table({}), "");
}

TEST(SelfErrors, a_line_says_what_why_and_what_to_do) {
  const std::string text = errors_table({file_with(Errc::no_space, "node f1 is full", "/a/b")});
  EXPECT_TRUE(text.starts_with("7\t/a/b\tENOSPC\t2023-11-14T22:13:20Z\t3\tnode f1 is full\tmake "))
      << text;
}

TEST(SelfErrors, odd_names_stay_on_their_line) {
  const std::string text = errors_table({file_with(Errc::timeout, "", "/a\tb\n\\ \xff"),
                                         file_with(Errc::quota_exceeded, "x\ny", "")});
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\t'), 12);
  EXPECT_NE(text.find("\t/a\\011b\\012\\134 \xff\tEIO\t"), std::string::npos) << text;
  EXPECT_NE(text.find("\n7\t-\tEDQUOT\t"), std::string::npos) << text;
}

TEST(SelfErrors, every_error_has_an_answer) {
  for (int code = 0; code <= static_cast<int>(kLastErrc); ++code) {
    const std::string text = errors_table({file_with(static_cast<Errc>(code), "", "/f")});
    EXPECT_EQ(std::count(text.begin(), text.end(), '\t'), 6) << code;
    EXPECT_FALSE(text.ends_with("\t\n")) << code;
  }
}

}  // namespace
}  // namespace aster
