#pragma once

#include <array>
#include <type_traits>

#include "protocol/fs/messages.h"

namespace aster {

using NamedInodes = std::array<InodeNo, 2>;

/// The inodes that an operation names; 0 stands for none.
inline NamedInodes inodes_of(const fs::Operation& operation) {
  return std::visit(
      [](const auto& op) -> NamedInodes {
        if constexpr (requires { op.parent.value_or(InodeNo()); }) {
          return {{op.parent.value_or(InodeNo()), InodeNo()}};
        } else if constexpr (requires { op.new_parent; }) {
          return {{op.parent, op.new_parent}};
        } else if constexpr (requires { op.source; }) {
          return {{op.source, op.target}};
        } else if constexpr (requires { op.target_offset; }) {
          return {{op.target, InodeNo()}};
        } else if constexpr (requires {
                               op.parent;
                               op.target;
                             }) {
          return {{op.parent, InodeNo()}};  // Create::ino is new
        } else if constexpr (requires {
                               op.parent;
                               op.ino;
                             }) {
          return {{op.parent, op.ino}};
        } else if constexpr (requires { op.parent; }) {
          return {{op.parent, InodeNo()}};
        } else if constexpr (requires { op.ino; }) {
          return {{op.ino, InodeNo()}};
        } else {
          return {};
        }
      },
      operation);
}

/// Directories of which it changes names, and everything that it names.
template <class C>
C concern_of(const fs::Operation& operation) {
  C concern;
  for (const InodeNo ino : inodes_of(operation)) {
    if (ino) concern.all.push_back(ino);
  }
  std::visit(
      [&](const auto& op) {
        using Op = std::remove_cvref_t<decltype(op)>;
        if constexpr (std::is_same_v<Op, fs::Create> || std::is_same_v<Op, fs::Link> ||
                      std::is_same_v<Op, fs::Unlink> || std::is_same_v<Op, fs::Rmdir>) {
          concern.directories = {op.parent};
        } else if constexpr (std::is_same_v<Op, fs::Rename>) {
          concern.directories = {op.parent, op.new_parent};
        }
      },
      operation);
  return concern;
}

}  // namespace aster
