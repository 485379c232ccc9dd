#include "kv/prefix_tree.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/error.h"

namespace oxidized {
namespace {

constexpr auto kNodeTokens = static_cast<size_t>(kKvBlockTokens);

// Children that are looked at for a common beginning of less than a whole node, the last used first. What
// that misses under a parent of many children is at most 31 tokens.
constexpr int32_t kMostTried = 8;

}  // namespace

uint64_t PrefixTree::HashOf(int32_t parent, std::span<const int32_t> tokens) {
  uint64_t hash = static_cast<uint64_t>(parent) + 1;
  for (const int32_t token : tokens) {
    hash = (hash ^ static_cast<uint32_t>(token)) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
  }
  return hash;
}

PrefixTree::PrefixTree(std::vector<int32_t> windows, std::vector<BlockPool>& pools, Hash hash)
    : windows_(std::move(windows)), pools_(pools), hash_(hash), lists_(kLoose + pools.size()) {
  // Every node holds a block of each full group: with room for all of them nothing is allocated later on.
  size_t nodes = 16;  // roots
  const bool full = std::find(windows_.begin(), windows_.end(), 0) != windows_.end();
  for (size_t g = 0; g < pools_.size(); ++g) {
    if (!full || windows_[g] == 0) nodes += static_cast<size_t>(pools_[g].num_blocks());
  }
  nodes_.reserve(nodes);
  unused_.reserve(nodes);
  for (auto* of_groups : {&blocks_, &pins_, &reach_}) of_groups->reserve(nodes * pools_.size());
  for (auto* links : {&earlier_, &later_}) links->reserve(nodes * lists_.size());
  by_hash_.resize(std::bit_ceil(nodes), -1);
  run_.resize(pools_.size());
}

// ---- lists

bool PrefixTree::BelongsTo(int32_t node, size_t list) const {
  const Node& n = At(node);
  if (IsRoot(node) || !n.live) return false;
  if (list == kLeaves) return n.children == 0 && n.places == 0;
  if (list == kWindows) return n.window;
  const size_t g = list - kLoose;
  return windows_[g] > 0 && Block(node, g) >= 0 && pins_[Slot(node, g)] == 0;
}

void PrefixTree::Append(int32_t node, size_t list, End end) {
  List& l = lists_[list];
  const bool front = end == End::kLongestUnused;
  const int32_t before = front ? -1 : l.last, after = front ? l.first : -1;
  earlier_[LinkOf(node, list)] = before;
  later_[LinkOf(node, list)] = after;
  (before >= 0 ? later_[LinkOf(before, list)] : l.first) = node;
  (after >= 0 ? earlier_[LinkOf(after, list)] : l.last) = node;
  ++l.size;
}

void PrefixTree::TakeOut(int32_t node, size_t list) {
  List& l = lists_[list];
  const int32_t before = earlier_[LinkOf(node, list)], after = later_[LinkOf(node, list)];
  (before >= 0 ? later_[LinkOf(before, list)] : l.first) = after;
  (after >= 0 ? earlier_[LinkOf(after, list)] : l.last) = before;
  earlier_[LinkOf(node, list)] = later_[LinkOf(node, list)] = kOutside;
  --l.size;
}

void PrefixTree::Update(int32_t node, End end) {
  for (size_t list = 0; list < lists_.size(); ++list) {
    const bool in = later_[LinkOf(node, list)] != kOutside;
    if (BelongsTo(node, list) == in) continue;
    in ? TakeOut(node, list) : Append(node, list, end);
  }
}

// ---- nodes

void PrefixTree::Link(int32_t node) {
  Node& n = At(node);
  Node& parent = At(n.parent);
  n.previous = -1;
  n.next = parent.first_child;
  if (n.next >= 0) At(n.next).previous = node;
  parent.first_child = node;
}

void PrefixTree::Unlink(int32_t node) {
  Node& n = At(node);
  if (n.previous >= 0) {
    At(n.previous).next = n.next;
  } else {
    At(n.parent).first_child = n.next;
  }
  if (n.next >= 0) At(n.next).previous = n.previous;
}

void PrefixTree::Touch(int32_t node) {
  if (IsRoot(node)) return;
  for (size_t list = 0; list < lists_.size(); ++list) {
    if (later_[LinkOf(node, list)] == kOutside) continue;
    TakeOut(node, list);
    Append(node, list, End::kJustUsed);
  }
  Unlink(node);
  Link(node);
}

void PrefixTree::Stand(int32_t& at, int32_t node) {
  if (at == node) return;
  if (node >= 0) {
    ++At(node).places;
    Update(node, End::kJustUsed);
  }
  if (at >= 0) {
    --At(at).places;
    Update(at, End::kJustUsed);
  }
  at = node;
}

int32_t PrefixTree::NewNode() {
  int32_t node = static_cast<int32_t>(nodes_.size());
  if (unused_.empty()) {
    nodes_.emplace_back();
    for (auto* of_groups : {&blocks_, &pins_, &reach_}) of_groups->resize(nodes_.size() * pools_.size());
    for (auto* links : {&earlier_, &later_}) links->resize(nodes_.size() * lists_.size(), kOutside);
  } else {
    node = unused_.back();
    unused_.pop_back();
  }
  At(node) = Node{};
  At(node).live = true;
  for (size_t g = 0; g < pools_.size(); ++g) {
    Block(node, g) = -1;
    pins_[Slot(node, g)] = reach_[Slot(node, g)] = 0;
  }
  return node;
}

int32_t PrefixTree::RootOf(int32_t variant) {
  const auto found = roots_.find(variant);
  return found != roots_.end() ? found->second : roots_[variant] = NewNode();
}

int32_t& PrefixTree::Bucket(int32_t parent, std::span<const int32_t> tokens) {
  return by_hash_[static_cast<size_t>(hash_(parent, tokens)) & (by_hash_.size() - 1)];
}

// A node of 32 tokens can be found from now on.
void PrefixTree::Index(int32_t node) {
  if (At(node).count < kKvBlockTokens) return;
  int32_t& bucket = Bucket(At(node).parent, TokensOf(node));
  At(node).same_bucket = bucket;
  bucket = node;
}

int32_t PrefixTree::Add(int32_t parent, std::span<const int32_t> tokens, int64_t index,
                        const std::vector<BlockTable>& tables) {
  const int32_t node = NewNode();
  ++nodes_in_use_;
  Node& n = At(node);
  n.parent = parent;
  n.count = static_cast<int32_t>(tokens.size());
  std::copy(tokens.begin(), tokens.end(), n.tokens.begin());
  ++At(parent).children;
  Update(parent, End::kJustUsed);
  Link(node);
  TakeMissing(node, index, tables);
  Index(node);
  if (At(parent).children > 1) Pin(parent);  // others may fork off here too
  return node;
}

// A tail whose block was written on.
void PrefixTree::Extend(int32_t node, std::span<const int32_t> tokens) {
  Node& n = At(node);
  OX_CHECK(n.count < kKvBlockTokens && tokens.size() >= static_cast<size_t>(n.count));
  n.count = static_cast<int32_t>(tokens.size());
  std::copy(tokens.begin(), tokens.end(), n.tokens.begin());
  Index(node);
}

// Takes hold of the blocks of a path's node `index` that it has not, as far as the tables still have them.
void PrefixTree::TakeMissing(int32_t node, int64_t index, const std::vector<BlockTable>& tables) {
  for (size_t g = 0; g < pools_.size(); ++g) {
    const int64_t at = index - tables[g].first_position / kKvBlockTokens;
    if (Block(node, g) >= 0 || at < 0 || at >= static_cast<int64_t>(tables[g].blocks.size())) continue;
    Block(node, g) = tables[g].blocks[static_cast<size_t>(at)];
    pools_[g].AddHolder(Block(node, g));
  }
  Update(node, End::kJustUsed);
}

// Two sequences computed the same: one copy is enough, and what a running sequence stands on is what it
// holds.
void PrefixTree::ShareFull(int32_t node, int64_t index, std::vector<BlockTable>& tables) {
  for (size_t g = 0; g < pools_.size(); ++g) {
    if (windows_[g] > 0) continue;
    int32_t& own = tables[g].blocks[static_cast<size_t>(index)];
    if (own == Block(node, g)) continue;
    pools_[g].AddHolder(Block(node, g));
    pools_[g].Release(own);
    own = Block(node, g);
  }
}

void PrefixTree::Remove(int32_t node) {
  Node& n = At(node);
  OX_CHECK(n.live && !IsRoot(node) && n.children == 0 && n.places == 0);
  Unpin(node);
  for (size_t g = 0; g < pools_.size(); ++g) {
    OX_CHECK(pins_[Slot(node, g)] == 0);  // windows that reach here end below
    if (Block(node, g) >= 0) pools_[g].Release(Block(node, g));
    Block(node, g) = -1;
  }
  if (n.count == kKvBlockTokens) {
    int32_t* link = &Bucket(n.parent, TokensOf(node));
    while (*link != node) link = &At(*link).same_bucket;
    *link = n.same_bucket;
  }
  Unlink(node);
  n.live = false;
  Update(node, End::kJustUsed);
  unused_.push_back(node);
  --nodes_in_use_;
  --At(n.parent).children;
  Update(n.parent, End::kLongestUnused);
}

// Nodes that hold nothing any more, in models without full attention, and those that only led there.
bool PrefixTree::RemoveIfBare(int32_t node) {
  const Node& n = At(node);
  if (IsRoot(node) || n.children > 0 || n.places > 0) return false;
  for (size_t g = 0; g < pools_.size(); ++g) {
    if (Block(node, g) >= 0) return false;
  }
  const int32_t parent = n.parent;
  Remove(node);
  RemoveIfBare(parent);
  return true;
}

// ---- windows

int64_t PrefixTree::FirstNeeded(size_t group, int64_t position) const {
  if (windows_[group] == 0) return 0;
  // The row at `position` sees window - 1 earlier ones.
  return std::max<int64_t>(0, position - windows_[group] + 1) / kKvBlockTokens;
}

// Pins the blocks that a request needs which resumes at this node's end or inside it.
void PrefixTree::Pin(int32_t node) {
  if (IsRoot(node)) return;
  if (At(node).window) return Touch(node);
  for (size_t g = 0; g < pools_.size(); ++g) {
    if (windows_[g] == 0) continue;
    int64_t needed = BlocksFor(windows_[g] - 1);
    for (int32_t n = node; needed > 0 && !IsRoot(n); n = At(n).parent, --needed) {
      if (Block(n, g) < 0) return;  // of no use
    }
  }
  for (size_t g = 0; g < pools_.size(); ++g) {
    if (windows_[g] == 0) continue;
    // One more, if it is there: what a row inside this node sees.
    int64_t left = BlocksFor(windows_[g] - 1) + 1;
    int32_t& reach = reach_[Slot(node, g)];
    for (int32_t n = node; left > 0 && !IsRoot(n) && Block(n, g) >= 0; n = At(n).parent, --left) {
      ++pins_[Slot(n, g)];
      Update(n, End::kJustUsed);
      ++reach;
    }
  }
  At(node).window = true;
  Update(node, End::kJustUsed);
}

void PrefixTree::Unpin(int32_t node) {
  if (!At(node).window) return;
  for (size_t g = 0; g < pools_.size(); ++g) {
    int32_t n = node;
    for (int32_t& reach = reach_[Slot(node, g)]; reach > 0; --reach) {
      --pins_[Slot(n, g)];
      Update(n, End::kLongestUnused);
      n = At(n).parent;
    }
  }
  At(node).window = false;
  Update(node, End::kJustUsed);
}

void PrefixTree::PinWindow(const Place& place, int64_t position) {
  if (place.node < 0 || position < kKvBlockTokens) return;
  int32_t node = place.node;
  for (int64_t end = place.tokens; end > position; end -= kKvBlockTokens) node = At(node).parent;
  Pin(node);
}

// ---- lookup

int64_t PrefixTree::CommonWith(int32_t node, std::span<const int32_t> tokens) {
  ++visits_;
  const std::span<const int32_t> own = TokensOf(node);
  return std::mismatch(own.begin(), own.end(), tokens.begin(), tokens.end()).first - own.begin();
}

int32_t PrefixTree::Find(int32_t parent, std::span<const int32_t> tokens) {
  for (int32_t node = Bucket(parent, tokens); node >= 0; node = At(node).same_bucket) {
    ++visits_;
    if (At(node).parent == parent && std::equal(tokens.begin(), tokens.end(), At(node).tokens.begin()))
      return node;
  }
  return -1;
}

bool PrefixTree::HasBlocks(int32_t node) const {
  for (size_t g = 0; g < pools_.size(); ++g) {
    if (Block(node, g) < 0) return false;
  }
  return true;
}

// The child that shares most of `tokens` (up to 32 that follow the parent's), of which at most `limit` count.
int32_t PrefixTree::FindPartial(int32_t parent, std::span<const int32_t> tokens, int64_t limit,
                                int64_t& common) {
  common = 0;
  int32_t best = -1;
  const auto consider = [&](int32_t node) {
    if (node < 0 || !HasBlocks(node)) return;
    const int64_t shared = std::min(limit, CommonWith(node, tokens));
    if (shared > common) {
      common = shared;
      best = node;
    }
  };
  if (tokens.size() == kNodeTokens) consider(Find(parent, tokens));
  int32_t tried = 0;
  for (int32_t child = At(parent).first_child; child >= 0 && common < limit && tried < kMostTried; ++tried) {
    consider(child);
    child = At(child).next;
  }
  return best;
}

// Tables of the whole nodes that a row at `position` needs.
void PrefixTree::ShareBlocks(std::span<const int32_t> path, int64_t position,
                             std::vector<BlockTable>& tables) {
  for (size_t g = 0; g < pools_.size(); ++g) {
    OX_CHECK(tables[g].blocks.empty());
    const int64_t first = FirstNeeded(g, position);
    tables[g].first_position = first * kKvBlockTokens;
    for (size_t i = static_cast<size_t>(first); i < path.size(); ++i) {
      pools_[g].AddHolder(Block(path[i], g));
      tables[g].blocks.push_back(Block(path[i], g));
    }
  }
}

// A block of one's own in every group, to which this node's are copied; false: there is no room.
bool PrefixTree::CopyPartial(int32_t node, std::vector<BlockTable>& tables, std::vector<BlockCopy>& copies) {
  // Held, so that making room leaves them alone.
  int32_t held = -1;
  Stand(held, node);
  for (size_t g = 0; g < pools_.size(); ++g) pools_[g].AddHolder(Block(node, g));
  bool room = true;
  for (size_t g = 0; g < pools_.size(); ++g) {
    while (room && pools_[g].num_free() == 0) room = Evict(g);
  }
  for (size_t g = 0; g < pools_.size(); ++g) {
    pools_[g].Release(Block(node, g));
    if (!room) continue;
    tables[g].blocks.push_back(pools_[g].Allocate());
    copies.push_back({static_cast<int32_t>(g), Block(node, g), tables[g].blocks.back()});
  }
  Stand(held, -1);
  return room;
}

PrefixTree::Match PrefixTree::Look(int32_t root, std::span<const int32_t> tokens, int64_t limit) {
  Match match;
  path_.clear();
  int32_t deepest = root;
  std::fill(run_.begin(), run_.end(), 0);
  const auto window_at = [&](int64_t position) {
    bool there = true;
    for (size_t g = 0; g < pools_.size(); ++g)
      there &= run_[g] >= static_cast<int64_t>(path_.size()) - FirstNeeded(g, position);
    return there;
  };
  while (static_cast<int64_t>((path_.size() + 1) * kNodeTokens) <= limit) {
    const int32_t child = Find(deepest, tokens.subspan(path_.size() * kNodeTokens, kNodeTokens));
    if (child < 0) break;
    deepest = child;
    path_.push_back(child);
    for (size_t g = 0; g < pools_.size(); ++g) run_[g] = Block(child, g) >= 0 ? run_[g] + 1 : 0;
    if (window_at(static_cast<int64_t>(path_.size() * kNodeTokens))) match.whole = path_.size();
  }
  const auto end = static_cast<int64_t>(path_.size() * kNodeTokens);
  if (end >= limit) return match;
  const std::span<const int32_t> rest = tokens.subspan(static_cast<size_t>(end));
  match.partial =
      FindPartial(deepest, rest.first(std::min(rest.size(), kNodeTokens)), limit - end, match.common);
  if (match.partial >= 0 && !window_at(end + match.common)) match.partial = -1;
  return match;
}

int64_t PrefixTree::Reusable(int32_t variant, std::span<const int32_t> tokens, int64_t limit) {
  const auto root = roots_.find(variant);
  if (root == roots_.end()) return 0;
  const Match match = Look(root->second, tokens, std::min(limit, static_cast<int64_t>(tokens.size())));
  if (match.partial >= 0) return static_cast<int64_t>(path_.size() * kNodeTokens) + match.common;
  return static_cast<int64_t>(match.whole * kNodeTokens);
}

int64_t PrefixTree::Resume(int32_t variant, std::span<const int32_t> tokens, int64_t limit,
                           std::vector<BlockTable>& tables, std::vector<BlockCopy>& copies, Place& place) {
  OX_CHECK(place.node < 0 && place.tail < 0);
  const auto root = roots_.find(variant);
  if (root == roots_.end()) return 0;
  const auto [whole, partial, common] =
      Look(root->second, tokens, std::min(limit, static_cast<int64_t>(tokens.size())));
  const auto end = static_cast<int64_t>(path_.size() * kNodeTokens);
  for (const int32_t node : path_) Touch(node);
  if (partial >= 0) {
    Touch(partial);
    ShareBlocks(path_, end + common, tables);
    Stand(place.node, path_.empty() ? -1 : path_.back());
    place.tokens = end;
    if (CopyPartial(partial, tables, copies)) return end + common;
    for (size_t g = 0; g < pools_.size(); ++g) tables[g].ReleaseAll(pools_[g]);
  }
  Stand(place.node, whole == 0 ? -1 : path_[whole - 1]);
  place.tokens = static_cast<int64_t>(whole * kNodeTokens);
  // Making room for a copy may have taken a window that nobody holds.
  for (size_t g = 0; g < pools_.size(); ++g) {
    for (size_t i = static_cast<size_t>(FirstNeeded(g, place.tokens)); i < whole; ++i) {
      if (Block(path_[i], g) >= 0) continue;
      Leave(place);
      return 0;
    }
  }
  ShareBlocks(std::span(path_).first(whole), place.tokens, tables);
  return place.tokens;
}

// ---- keeping

void PrefixTree::Publish(int32_t variant, std::span<const int32_t> tokens, std::vector<BlockTable>& tables,
                         Place& place) {
  int32_t parent = place.node >= 0 ? place.node : RootOf(variant);
  for (; place.tokens + kKvBlockTokens <= static_cast<int64_t>(tokens.size());
       place.tokens += kKvBlockTokens) {
    const auto part = tokens.subspan(static_cast<size_t>(place.tokens), kNodeTokens);
    const int64_t index = place.tokens / kKvBlockTokens;
    int32_t node = Find(parent, part);
    if (node >= 0) {
      TakeMissing(node, index, tables);
      ShareFull(node, index, tables);
    } else if (place.tail >= 0) {
      node = place.tail;
      Extend(node, part);
      TakeMissing(node, index, tables);
    } else {
      node = Add(parent, part, index, tables);
    }
    Stand(place.tail, -1);
    Stand(place.node, node);
    parent = node;
  }
}

void PrefixTree::Keep(int32_t variant, std::span<const int32_t> tokens, std::vector<BlockTable>& tables,
                      Place& place) {
  Publish(variant, tokens, tables, place);
  const std::span<const int32_t> rest = tokens.subspan(static_cast<size_t>(place.tokens));
  int32_t end = place.node;
  if (!rest.empty()) {
    const int32_t parent = place.node >= 0 ? place.node : RootOf(variant);
    if (place.tail >= 0) {
      Extend(place.tail, rest);
      end = place.tail;
    } else {
      int64_t common = 0;
      end = FindPartial(parent, rest, static_cast<int64_t>(rest.size()), common);
      if (common < static_cast<int64_t>(rest.size())) {
        end = Add(parent, rest, place.tokens / kKvBlockTokens, tables);
        Stand(place.tail, end);
      }
    }
  }
  if (end < 0) return;
  Pin(end);
  Touch(end);
}

void PrefixTree::Leave(Place& place) {
  for (const int32_t node : {place.tail, place.node}) {
    if (node >= 0) Touch(node);
  }
  Stand(place.tail, -1);
  Stand(place.node, -1);
  place.tokens = 0;
}

void PrefixTree::Discard(Place& place) {
  const auto unused = [this](int32_t node) {
    return node >= 0 && !IsRoot(node) && At(node).children == 0 && At(node).places == 0;
  };
  const int32_t tail = place.tail;
  int32_t node = place.node;
  Leave(place);
  if (unused(tail)) Remove(tail);
  while (unused(node)) {
    const int32_t parent = At(node).parent;
    Remove(node);
    node = parent;
  }
}

// ---- letting go

bool PrefixTree::Evict(size_t group) {
  if (windows_[group] > 0) {
    while (!EvictLoose(group)) {
      if (!EvictWindow(group)) return false;
    }
    return true;
  }
  if (lists_[kLeaves].first < 0) return false;
  Remove(lists_[kLeaves].first);
  return true;
}

// The longest unused block in no pinned window, of those that no sequence holds.
bool PrefixTree::EvictLoose(size_t group) {
  for (int32_t node = lists_[kLoose + group].first; node >= 0; node = later_[LinkOf(node, kLoose + group)]) {
    const int32_t block = Block(node, group);
    if (pools_[group].holders(block) > 1) continue;
    pools_[group].Release(block);
    Block(node, group) = -1;
    Update(node, End::kJustUsed);
    RemoveIfBare(node);
    return true;
  }
  return false;
}

// Unpins the longest unused window that then has a block to give.
bool PrefixTree::EvictWindow(size_t group) {
  for (int32_t end = lists_[kWindows].first; end >= 0; end = later_[LinkOf(end, kWindows)]) {
    int32_t node = end;
    for (int32_t left = reach_[Slot(end, group)]; left > 0; --left, node = At(node).parent) {
      if (pools_[group].holders(Block(node, group)) > 1) continue;
      Unpin(end);
      return true;
    }
  }
  return false;
}

// ---- checks

std::vector<int32_t> PrefixTree::Holders(size_t group) const {
  std::vector<int32_t> holders(static_cast<size_t>(pools_[group].num_blocks()), 0);
  for (size_t node = 0; node < nodes_.size(); ++node) {
    const int32_t block = Block(static_cast<int32_t>(node), group);
    if (nodes_[node].live && block >= 0) ++holders[static_cast<size_t>(block)];
  }
  return holders;
}

std::vector<int32_t> PrefixTree::PathBlocks(const Place& place, size_t group) const {
  std::vector<int32_t> blocks;
  for (int32_t node = place.node; node >= 0 && !IsRoot(node); node = At(node).parent)
    blocks.push_back(Block(node, group));
  std::reverse(blocks.begin(), blocks.end());
  return blocks;
}

bool PrefixTree::Intact() const {
  std::vector<int32_t> children(nodes_.size(), 0), pins(pins_.size(), 0);
  std::vector<int64_t> members(lists_.size(), 0);
  size_t live = 0, whole = 0;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const auto node = static_cast<int32_t>(i);
    const Node& n = nodes_[i];
    for (size_t list = 0; list < lists_.size(); ++list) {
      if (BelongsTo(node, list) != (later_[LinkOf(node, list)] != kOutside)) return false;
      members[list] += BelongsTo(node, list);
    }
    if (!n.live || IsRoot(node)) continue;
    ++live;
    if (!At(n.parent).live || n.count < 1 || n.count > kKvBlockTokens) return false;
    if (n.count < kKvBlockTokens && n.children > 0) return false;
    if (!IsRoot(n.parent) && At(n.parent).count != kKvBlockTokens) return false;
    ++children[static_cast<size_t>(n.parent)];
    whole += n.count == kKvBlockTokens;
    for (size_t g = 0; g < pools_.size(); ++g) {
      if (windows_[g] == 0 && Block(node, g) < 0) return false;
      int32_t pinned = node;
      for (int32_t left = reach_[Slot(node, g)]; left > 0; --left, pinned = At(pinned).parent) {
        if (!n.window || IsRoot(pinned) || Block(pinned, g) < 0) return false;
        ++pins[Slot(pinned, g)];
      }
    }
  }
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i].live) continue;
    if (children[i] != nodes_[i].children) return false;
    int32_t listed = 0;
    for (int32_t child = nodes_[i].first_child; child >= 0; child = At(child).next, ++listed) {
      if (At(child).parent != static_cast<int32_t>(i) || listed > children[i]) return false;
    }
    if (listed != children[i]) return false;
    for (size_t g = 0; g < pools_.size(); ++g) {
      if (pins[i * pools_.size() + g] != pins_[i * pools_.size() + g]) return false;
    }
  }
  for (size_t bucket = 0; bucket < by_hash_.size(); ++bucket) {
    for (int32_t node = by_hash_[bucket]; node >= 0; node = At(node).same_bucket, --whole) {
      if (whole == 0 || !At(node).live || At(node).count != kKvBlockTokens) return false;
      const auto hash = static_cast<size_t>(hash_(At(node).parent, TokensOf(node)));
      if ((hash & (by_hash_.size() - 1)) != bucket) return false;
    }
  }
  for (size_t list = 0; list < lists_.size(); ++list) {
    int64_t size = 0;
    for (int32_t node = lists_[list].first; node >= 0; node = later_[LinkOf(node, list)]) {
      if (++size > members[list]) return false;
    }
    if (size != members[list] || size != lists_[list].size) return false;
  }
  return whole == 0 && static_cast<int64_t>(live) == nodes_in_use_;
}

}  // namespace oxidized
