#include "engine/step_in_flight.h"

#include <algorithm>

namespace oxidized {

void StepInFlight::Clear(size_t num_groups) {
  rows_.clear();
  for (auto* v : {&token_ids_, &query_start_, &slot_, &policy_, &adapter_}) v->clear();
  positions_.clear();
  context_len_.clear();
  policies_.clear();
  samples_.clear();
  logits_.clear();
  groups_.resize(num_groups);
  for (Group& group : groups_) {
    group.offsets.assign(1, 0);
    group.block_ids.clear();
    group.first_position.clear();
  }
  query_start_.push_back(0);
  taps_.Clear();
  router_logits_ = drafts_ = false;
  late_.clear();
  error = nullptr;
  masks_given = false;
}

void StepInFlight::AddAdmitted(Sequence& sequence) {
  rows_.emplace_back().sequence = sequence.shared_from_this();
}

void StepInFlight::Add(const ScheduledRows& scheduled, bool late_masks) {
  Sequence& s = *scheduled.sequence;
  const int64_t begin = s.planned(), end = begin + scheduled.rows, sure_end = end - scheduled.drafted;
  const auto known = static_cast<int64_t>(s.tokens.size());
  StepRows& record = rows_.emplace_back();
  record.sequence = s.shared_from_this();
  record.first_position = begin;
  record.first_row = num_tokens();
  record.rows = scheduled.rows;
  record.drafted = scheduled.drafted;
  record.decode = sure_end - begin == 1 && sure_end >= known;
  record.first_sample = samples_.size();
  drafts_ |= scheduled.drafted > 0;
  const auto row_of = [&](int64_t p) { return record.first_row + static_cast<int32_t>(p - begin); };

  for (int64_t p = begin; p < end; ++p) {
    token_ids_.push_back(p < known      ? s.tokens[static_cast<size_t>(p)]
                         : p < sure_end ? kLastSampled
                                        : s.draft[static_cast<size_t>(p - sure_end)]);
    positions_.push_back(p);
  }
  query_start_.push_back(num_tokens());
  context_len_.push_back(end);
  slot_.push_back(s.slot);
  adapter_.push_back(s.request.adapter);
  auto policy = std::find(policies_.begin(), policies_.end(), s.request.routing);
  if (policy == policies_.end()) policy = policies_.insert(policy, s.request.routing);
  policy_.push_back(static_cast<int32_t>(policy - policies_.begin()));
  for (size_t g = 0; g < groups_.size(); ++g) {
    const BlockTable& table = s.tables[g];
    groups_[g].block_ids.insert(groups_[g].block_ids.end(), table.blocks.begin(), table.blocks.end());
    groups_[g].offsets.push_back(static_cast<int32_t>(groups_[g].block_ids.size()));
    groups_[g].first_position.push_back(table.first_position);
  }
  logits_.push_back(s.logits.get());
  if (s.taps != nullptr) taps_.Add(s.taps.get());
  router_logits_ |= s.wants_router_logits;

  for (int64_t p = std::max(begin, s.observed); s.request.score_prompt && p < sure_end; ++p) {
    if (p + 1 >= s.prompt_tokens()) break;
    if (record.scored++ == 0) record.first_scored = p;
    samples_.push_back({.row = row_of(p), .score_token = s.tokens[static_cast<size_t>(p) + 1]});
  }
  if (sure_end < known || s.request.max_new_tokens == 0) return;
  record.drawn = 1 + scheduled.drafted;
  const bool late = late_masks && s.may_mask;
  const TokenMask* steered = late ? nullptr : s.NextMask();
  for (int64_t p = sure_end - 1; p < end; ++p) {
    samples_.push_back({.row = row_of(p),
                        .params = &s.request.sampling,
                        .mask = late                 ? nullptr
                                : steered != nullptr ? steered
                                                     : s.request.mask.get(),
                        .top_logprobs = s.request.top_logprobs,
                        .late_mask = late});
    if (late) late_.push_back(&s);
  }
}

StepBatch StepInFlight::Batch() {
  kv_.clear();
  for (const Group& group : groups_) kv_.push_back({group.offsets, group.first_position, group.block_ids});
  StepBatch batch;
  batch.token_ids = token_ids_;
  batch.positions = positions_;
  batch.query_start = query_start_;
  batch.context_len = context_len_;
  batch.slot = slot_;
  batch.policy = policy_;
  batch.policies = policies_;
  batch.adapter = adapter_;
  batch.kv = kv_;
  batch.samples = samples_;
  batch.logits = logits_;
  batch.taps = taps_.empty() ? nullptr : &taps_;
  batch.router_logits = router_logits_;
  return batch;
}

std::span<const int32_t> StepInFlight::DraftOf(const StepRows& rows) const {
  return std::span(token_ids_)
      .subspan(static_cast<size_t>(rows.first_row + rows.rows - rows.drafted),
               static_cast<size_t>(rows.drafted));
}

// A sequence whose draw will be void (it ended, or tokens were forced) needs none, and gets what it says.
std::span<const TokenMask* const> StepInFlight::Masks() {
  masks_.clear();
  for (Sequence* s : late_) {
    const TokenMask* steered = s->finished ? nullptr : s->NextMask();
    masks_.push_back(steered != nullptr ? steered : s->finished ? nullptr : s->request.mask.get());
  }
  masks_given = true;
  return masks_;
}

void StepInFlight::Forget() {
  rows_.clear();
  late_.clear();
}

}  // namespace oxidized
