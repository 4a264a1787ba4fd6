#include "tests/mounted/mounted_fixture.h"

namespace aster::testing {
namespace {

// What people run on a drive.
using Programs = MountedTest;

TEST_F(Programs, git_commits_clones_and_checks) {
  shell(R"sh(
    git config --global user.email a@b.c; git config --global user.name a
    git config --global init.defaultBranch main
    git init -q $M/repo; cd $M/repo
    for i in $(seq 60); do echo "content $i" > file$i; done
    git add .; git commit -qm one
    for i in $(seq 60); do echo "more $i" >> file$i; done
    git commit -qam two
    git gc -q; git fsck --strict; test -z "$(git status --porcelain)"
    git clone -q $M/repo $M/clone; cd $M/clone; git fsck
    git checkout -q HEAD~1; test "$(cat file7)" = "content 7"
  )sh");
}

TEST_F(Programs, sqlite_keeps_its_integrity) {
  shell(R"sh(
    for mode in delete wal; do
      db=$M/$mode.db
      sqlite3 $db "pragma journal_mode=$mode; create table t(a integer primary key, b text);"
      for i in 1 2 3; do
        sqlite3 $db "with recursive n(x) as (select 1 union all select x+1 from n where x<2000)
          insert into t(b) select hex(randomblob(50)) from n; delete from t where a % 3 = 0;"
      done
      test "$(sqlite3 $db 'pragma integrity_check')" = ok
      sqlite3 $db vacuum
      test "$(sqlite3 $db 'pragma integrity_check')" = ok
    done
  )sh");
}

TEST_F(Programs, tar_and_rsync_bring_a_tree_over_unchanged) {
  shell(R"sh(
    mkdir -p $L/tree/sub/deep; cd $L/tree
    for i in $(seq 100); do head -c $((i * 331)) /dev/urandom > sub/f$i; done
    ln -s f1 sub/link; ln sub/f2 sub/deep/hard; touch -d 2001-02-03 sub/f3; chmod 4711 sub/f4
    mkfifo sub/pipe; truncate -s 1M sub/sparse
    tar -C $L -cf - tree | tar -C $M -xpf -
    diff -r --no-dereference -x pipe $L/tree $M/tree
    list() { cd $1; find . ! -type d -printf '%p %m %T@ %l %y\n' | sort; }
    # tar keeps whole seconds only.
    test "$(list $L/tree | sed 's/\.[0-9]* / /')" = "$(list $M/tree | sed 's/\.[0-9]* / /')"
    rsync -a $L/tree/ $M/copy/
    diff -r --no-dereference -x pipe $L/tree $M/copy
    test "$(list $L/tree)" = "$(list $M/copy)"
    test -z "$(rsync -ai $L/tree/ $M/copy/)"
    rm -rf $M/tree $M/copy; test -z "$(ls -A $M)"
  )sh");
}

TEST_F(Programs, a_compiler_builds_and_runs_a_program) {
  shell(R"sh(
    cd $M; printf '#include <stdio.h>\nint main(void) { puts("it runs"); }\n' > hello.c
    gcc -O1 -o hello hello.c; test "$(./hello)" = "it runs"
  )sh");
}

TEST_F(Programs, df_and_mount_say_what_it_is) {
  if (is_real()) GTEST_SKIP() << "needs the fake drive";
  shell(R"sh(
    test "$(findmnt -no FSTYPE $M)" = fuse.aster
    test "$(df --output=source $M | tail -1)" = fake
  )sh");
}

}  // namespace
}  // namespace aster::testing
