#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <grp.h>

#include "tests/mounted/mounted_fixture.h"

namespace aster::testing {
namespace {

using Permissions = MountedTest;

constexpr uid_t kAnn = 1000;
constexpr uid_t kBob = 1001;
constexpr gid_t kTeam = 2000;
constexpr char kAcl[] = "system.posix_acl_access";
constexpr char kDefaultAcl[] = "system.posix_acl_default";

/// Runs `steps` in a process of that user; what it notes comes back.
std::string as_user(uid_t uid, gid_t gid, const std::function<std::string()>& steps) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    const bool changed = ::setgroups(0, nullptr) == 0 && ::setresgid(gid, gid, gid) == 0 &&
                         ::setresuid(uid, uid, uid) == 0;
    const std::string text = changed ? steps() : "cannot become that user";
    (void)!::write(ends[1], text.data(), text.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string text(4096, '\0');
  size_t used = 0;
  for (ssize_t n = 0; (n = ::read(ends[0], text.data() + used, text.size() - used)) > 0;) {
    used += static_cast<size_t>(n);
  }
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  text.resize(used);
  return text;
}

std::string try_open(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  const std::string text = outcome(fd);
  if (fd >= 0) ::close(fd);
  return text + " ";
}

struct Line {
  uint16_t tag;
  uint16_t permissions;
  uint32_t id = 0xffffffff;
};

/// acl(5) in the form of its extended attribute.
std::string list(std::initializer_list<Line> lines) {
  std::string out("\2\0\0\0", 4);
  for (const Line& line : lines) out.append(reinterpret_cast<const char*>(&line), sizeof line);
  return out;
}

/// ann's file; bob by name as given, the mask likewise, nothing for the rest.
std::string for_bob(uint16_t bob, uint16_t mask) {
  return list({{1, 6}, {2, bob, kBob}, {4, 0}, {16, mask}, {32, 0}});
}

std::string value_of(const std::string& path, const char* name) {
  char value[256];
  const ssize_t n = ::lgetxattr(path.c_str(), name, value, sizeof value);
  return n < 0 ? outcome(-1)
               : std::to_string(std::hash<std::string>()({value, static_cast<size_t>(n)}));
}

std::string set_value(const std::string& path, const char* name, const std::string& value) {
  return outcome(::lsetxattr(path.c_str(), name, value.data(), value.size(), 0)) + " ";
}

TEST_F(Permissions, access_lists_decide_like_on_a_local_directory) {
  compare([](const std::string& d, Notes& notes) {
    ::chmod(d.c_str(), 0755);
    const std::string path = d + "/f";
    notes.push_back(try_open(path, O_CREAT | O_RDWR));
    notes.push_back(outcome(::chown(path.c_str(), kAnn, kAnn)) +
                    outcome(::chmod(path.c_str(), 0600)));
    const auto bob = [&] {
      notes.push_back(as_user(kBob, kBob, [&] {
        return try_open(path, O_RDONLY) + try_open(path, O_WRONLY) +
               set_value(path, kAcl, for_bob(7, 7));
      }));
    };
    bob();
    notes.push_back(set_value(path, kAcl, for_bob(6, 4)) + facts(path));
    bob();
    notes.push_back(outcome(::chmod(path.c_str(), 0660)) + facts(path) + value_of(path, kAcl));
    bob();
    notes.push_back(outcome(::chmod(path.c_str(), 0600)) + facts(path));
    bob();
    notes.push_back(outcome(::removexattr(path.c_str(), kAcl)) + facts(path) +
                    value_of(path, kAcl));
    notes.push_back(outcome(::removexattr(path.c_str(), kAcl)));
    notes.push_back(set_value(path, kAcl, list({{1, 6}, {4, 4}, {32, 4}})) + facts(path));
    notes.push_back(value_of(path, kAcl) + set_value(path, kAcl, "nonsense"));
    notes.push_back(set_value(path, kDefaultAcl, for_bob(7, 7)));
  });
}

TEST_F(Permissions, default_lists_are_handed_down_like_on_a_local_directory) {
  compare([](const std::string& d, Notes& notes) {
    const mode_t old = ::umask(077);
    const std::string parent = d + "/parent";
    notes.push_back(outcome(::mkdir(parent.c_str(), 0755)));
    notes.push_back(set_value(parent, kDefaultAcl, for_bob(7, 6)) + facts(parent));
    notes.push_back(outcome(::mkdir((parent + "/dir").c_str(), 0777)));
    notes.push_back(try_open(parent + "/file", O_CREAT | O_WRONLY));
    notes.push_back(outcome(::mkfifo((parent + "/fifo").c_str(), 0640)));
    notes.push_back(outcome(::symlink("x", (parent + "/link").c_str())));
    notes.push_back(outcome(::mkdir((parent + "/dir/below").c_str(), 0700)));
    for (const char* name : {"/dir", "/file", "/fifo", "/link", "/dir/below"}) {
      const std::string path = parent + name;
      notes.push_back(facts(path) + value_of(path, kAcl) + " " + value_of(path, kDefaultAcl));
    }
    notes.push_back(outcome(::removexattr(parent.c_str(), kDefaultAcl)));
    notes.push_back(try_open(parent + "/plain", O_CREAT | O_WRONLY) + facts(parent + "/plain"));
    ::umask(old);
  });
}

TEST_F(Permissions, set_id_bits_go_like_on_a_local_directory) {
  compare([](const std::string& d, Notes& notes) {
    ::chmod(d.c_str(), 0777);
    const std::string path = d + "/f";
    notes.push_back(try_open(path, O_CREAT | O_RDWR));
    ::chown(path.c_str(), kAnn, kTeam);
    ::chmod(path.c_str(), 06777);
    // A write, a truncation and a change of owner by somebody without privileges.
    notes.push_back(as_user(kBob, kBob, [&] {
      const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
      const std::string text = std::to_string(::write(fd, "x", 1));
      ::close(fd);
      return text;
    }));
    notes.push_back(facts(path));
    ::chmod(path.c_str(), 06777);
    notes.push_back(as_user(kBob, kBob, [&] { return outcome(::truncate(path.c_str(), 0)); }));
    notes.push_back(facts(path));
    ::chmod(path.c_str(), 06777);
    notes.push_back(as_user(kAnn, kAnn, [&] { return outcome(::chown(path.c_str(), -1, kAnn)); }));
    notes.push_back(facts(path));
    // Whoever is not in the file's group cannot give it the bit, by chmod or by a list.
    ::chown(path.c_str(), kAnn, kTeam);
    notes.push_back(as_user(kAnn, kAnn, [&] { return outcome(::chmod(path.c_str(), 02770)); }));
    notes.push_back(facts(path));
    ::chmod(path.c_str(), 02770);
    notes.push_back(as_user(kAnn, kAnn, [&] { return set_value(path, kAcl, for_bob(7, 7)); }));
    notes.push_back(facts(path));
  });
}

TEST_F(Permissions, sticky_and_sgid_directories_match_a_local_directory) {
  compare([](const std::string& d, Notes& notes) {
    ::chmod(d.c_str(), 0755);
    const std::string shared = d + "/shared";
    ::mkdir(shared.c_str(), 0755);
    ::chown(shared.c_str(), 0, kTeam);
    ::chmod(shared.c_str(), 03777);
    notes.push_back(as_user(kAnn, kAnn, [&] {
      return try_open(shared + "/ann", O_CREAT | O_WRONLY) +
             outcome(::mkdir((shared + "/dir").c_str(), 0755));
    }));
    notes.push_back(facts(shared + "/ann") + facts(shared + "/dir"));
    notes.push_back(as_user(kBob, kBob, [&] {
      return outcome(::unlink((shared + "/ann").c_str())) +
             outcome(::rmdir((shared + "/dir").c_str())) +
             outcome(::rename((shared + "/ann").c_str(), (shared + "/bob").c_str())) +
             outcome(::rename((shared + "/ann").c_str(), (d + "/bob").c_str()));
    }));
    notes.push_back(as_user(kAnn, kAnn, [&] {
      return outcome(::rename((shared + "/ann").c_str(), (shared + "/bob").c_str())) +
             outcome(::unlink((shared + "/bob").c_str()));
    }));
  });
}

TEST_F(Permissions, attribute_names_and_sizes_match_a_local_directory) {
  compare([](const std::string& d, Notes& notes) {
    ::chmod(d.c_str(), 0755);
    const std::string path = d + "/f";
    notes.push_back(try_open(path, O_CREAT | O_RDWR));
    ::chmod(path.c_str(), 0666);
    ::symlink("f", (d + "/link").c_str());
    for (const char* name :
         {"plain", "user.", "user.x", "trusted.t", "security.s", "system.other", ""}) {
      notes.push_back(name + set_value(path, name, "v") + value_of(path, name));
    }
    notes.push_back(set_value(path, ("user." + std::string(250, 'n')).c_str(), "v"));
    notes.push_back(set_value(path, ("user." + std::string(251, 'n')).c_str(), "v"));
    notes.push_back(set_value(path, "user.big", std::string(65537, 'v')));
    notes.push_back(set_value(d + "/link", "user.x", "v") +
                    set_value(d + "/link", "trusted.x", "v"));
    notes.push_back(as_user(kBob, kBob, [&] {
      char names[1024];
      const ssize_t n = ::listxattr(path.c_str(), names, sizeof names);
      const std::string all(names, n < 0 ? 0 : static_cast<size_t>(n));
      return std::to_string(all.find("trusted.") == std::string::npos) +
             value_of(path, "trusted.t") + set_value(path, "trusted.t", "w") +
             set_value(path, "user.bob", "w");
    }));
  });
}

}  // namespace
}  // namespace aster::testing
