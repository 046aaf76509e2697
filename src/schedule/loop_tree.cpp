#include "schedule/loop_tree.h"

#include "tenon/ir/builder.h"

namespace tenon {
namespace {

bool find_in(const Stmt& s, const std::function<bool(const StmtNode&)>& wanted, Path* path) {
  path->push_back(s);
  if (wanted(*s.get())) return true;
  if (const auto* f = s.as<ForNode>()) {
    if (find_in(f->body, wanted, path)) return true;
  } else if (const auto* a = s.as<AllocateNode>()) {
    if (find_in(a->body, wanted, path)) return true;
  } else if (const auto* l = s.as<LetStmtNode>()) {
    if (find_in(l->body, wanted, path)) return true;
  } else if (const auto* i = s.as<IfNode>()) {
    if (find_in(i->then_case, wanted, path)) return true;
    if (i->else_case && find_in(i->else_case, wanted, path)) return true;
  } else if (const auto* seq = s.as<SeqNode>()) {
    for (const Stmt& child : seq->stmts) {
      if (find_in(child, wanted, path)) return true;
    }
  }
  path->pop_back();
  return false;
}

template <typename N>
std::vector<const N*> all_under(const Stmt& root) {
  std::vector<const N*> found;
  Path path;
  find_in(
      root,
      [&](const StmtNode& s) {
        if (s.kind == N::kKind) found.push_back(static_cast<const N*>(&s));
        return false;
      },
      &path);
  return found;
}

/// `parent` with its child replaced; null when nothing is left of it.
Stmt with_child(const Stmt& parent, const Stmt& child, const Stmt& replacement) {
  if (const auto* f = parent.as<ForNode>())
    return replacement ? with_body(*f, replacement) : nullptr;
  if (const auto* a = parent.as<AllocateNode>())
    return with_body(*a, replacement ? replacement : make_seq({}));
  if (const auto* l = parent.as<LetStmtNode>())
    return replacement ? make_let(l->var, l->value, replacement) : nullptr;
  if (const auto* seq = parent.as<SeqNode>()) {
    std::vector<Stmt> stmts;
    for (const Stmt& s : seq->stmts) {
      if (!s.same_as(child)) {
        stmts.push_back(s);
      } else if (replacement) {
        stmts.push_back(replacement);
      }
    }
    return stmts.empty() ? Stmt() : make_seq(std::move(stmts));
  }
  const auto* i = parent.as<IfNode>();
  TENON_CHECK(i != nullptr, "no children in a ", to_string(parent->kind));
  const Stmt nothing = make_seq({});
  const Stmt by = replacement ? replacement : nothing;
  return i->then_case.same_as(child) ? make_if(i->condition, by, i->else_case)
                                     : make_if(i->condition, i->then_case, by);
}

}  // namespace

Path find_path(const Stmt& root, const std::function<bool(const StmtNode&)>& wanted) {
  Path path;
  find_in(root, wanted, &path);
  return path;
}

Path path_to_loop(const Stmt& root, const Expr& loop_var) {
  return find_path(root, [&](const StmtNode& s) {
    return s.kind == NodeKind::kFor && static_cast<const ForNode&>(s).var.same_as(loop_var);
  });
}

Path path_to_block(const Stmt& root, const std::string& name) {
  return find_path(root, [&](const StmtNode& s) {
    return s.kind == NodeKind::kBlock && static_cast<const BlockNode&>(s).name == name;
  });
}

std::vector<const ForNode*> loops_on(const Path& path, std::size_t first) {
  std::vector<const ForNode*> loops;
  for (std::size_t i = first; i < path.size(); ++i) {
    if (const auto* f = path[i].as<ForNode>()) loops.push_back(f);
  }
  return loops;
}

LoopRanges ranges_of(const std::vector<const ForNode*>& loops) {
  LoopRanges ranges;
  for (const ForNode* f : loops) ranges.push_back({f->var, f->min, f->extent});
  return ranges;
}

std::vector<const BlockNode*> blocks_under(const Stmt& s) { return all_under<BlockNode>(s); }
std::vector<const ForNode*> loops_under(const Stmt& s) { return all_under<ForNode>(s); }

Stmt replace_at(const Path& path, const Stmt& replacement) {
  Stmt current = replacement;
  for (std::size_t i = path.size() - 1; i-- > 0;)
    current = with_child(path[i], path[i + 1], current);
  return current ? current : make_seq({});
}

RootBody split_root(const Stmt& root) {
  RootBody parts;
  Stmt s = root;
  while (const auto* a = s.as<AllocateNode>()) {
    parts.allocations.push_back(s);
    s = a->body;
  }
  parts.body = s;
  return parts;
}

Stmt join_root(const RootBody& parts) {
  Stmt s = parts.body;
  for (std::size_t i = parts.allocations.size(); i-- > 0;)
    s = with_body(*parts.allocations[i].as<AllocateNode>(), s);
  return s;
}

}  // namespace tenon
