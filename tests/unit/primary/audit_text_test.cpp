#include "server/primary/audit_text.h"

#include <gtest/gtest.h>

namespace aster::primary {
namespace {

TEST(AuditText, tells_which_members_get_what) {
  EXPECT_EQ(changes_text(R"({"name":"far","is_enabled":false,"max_file_size":0,"items":[1,2]})"),
            "name=far is_enabled=false max_file_size=0 items=[1,2]");
  EXPECT_EQ(changes_text(R"({"options":{"remote_upload_strategy":"presigned"},"base_path":null})"),
            "options.remote_upload_strategy=presigned base_path=null");
  EXPECT_EQ(changes_text("{}"), "");
  EXPECT_EQ(changes_text("[1]"), "");
  EXPECT_EQ(changes_text("no JSON"), "");
}

TEST(AuditText, quotes_what_could_be_read_in_another_way) {
  EXPECT_EQ(changes_text(R"({"name":"a role=admin","b":"","c\n":"x\ny"})"),
            R"(name="a role=admin" b="" "c\n"="x\ny")");
}

TEST(AuditText, never_tells_secrets) {
  const std::string text = changes_text(
      R"({"access_key":"AKIA","Secret_Key":"s1","password":"s2","user":{"apiToken":"s3"},)"
      R"("credential":{"key":"s4"},"hosts":[{"secret":"s5"}],"endpoint":"https://u:s6@host/p@q"})");
  EXPECT_EQ(text,
            "access_key=*** Secret_Key=*** password=*** user.apiToken=*** credential=*** "
            R"(hosts=[{"secret":"***"}] endpoint=https://***@host/p@q)");
}

TEST(AuditText, is_cut_between_letters) {
  std::string name;
  for (int i = 0; i < 700; ++i) name += "\u00e4";
  const std::string text = changes_text("{\"name\":\"" + name + "\"}");
  EXPECT_LE(text.size(), kAuditChangesMax);
  EXPECT_TRUE(text.ends_with("...")) << text;
  const std::string letters = text.substr(6, text.size() - 9);
  EXPECT_EQ(letters.size() % 2, 0u);
  EXPECT_TRUE(letters.ends_with("\u00e4"));
}

}  // namespace
}  // namespace aster::primary
