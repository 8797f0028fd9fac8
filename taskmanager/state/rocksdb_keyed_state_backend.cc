#include "taskmanager/state/rocksdb_keyed_state_backend.h"

#include <algorithm>
#include <stdexcept>

#include "api/graph/state_info.h"
#include "common/base/logging.h"
#include "common/io/file_system.h"
#include "common/snapshot/serializer_snapshot.h"
#include "taskmanager/state/keyed_state_restore.h"

namespace flink::taskmanager {
namespace {

/// Slots looked at per AdvanceSnapshot: some 0.2 ms when all are dirty.
constexpr size_t kSlotsPerStep = 4096;
constexpr size_t kRowSetBytes = 4 << 20;

}  // namespace

StatusOr<std::unique_ptr<KeyedStateBackend>> KeyedStateBackend::Create(Options options) {
  if (options.type != "rocksdb" && options.type != "hashmap") {
    return InvalidArgument("state.backend.type is \"{}\"; supported are rocksdb and hashmap",
                           options.type);
  }
  return RocksDbKeyedStateBackend::Create(std::move(options));
}

StatusOr<std::unique_ptr<KeyedStateBackend>> RocksDbKeyedStateBackend::Create(Options options) {
  std::unique_ptr<RocksDbKeyedStateBackend> backend(
      new RocksDbKeyedStateBackend(std::move(options)));
  const Status status = backend->Open();
  if (!status.ok()) {
    return With(status, "keyed state of operator \"{}\" ({})", backend->options_.operator_name,
                backend->options_.operator_id);
  }
  return std::unique_ptr<KeyedStateBackend>(std::move(backend));
}

RocksDbKeyedStateBackend::RocksDbKeyedStateBackend(Options options)
    : options_(std::move(options)),
      in_memory_(options_.type == "hashmap"),
      backend_id_(RandomUuid()) {
  if (options_.flush_pool == nullptr) options_.flush_pool = options_.io_pool;
  if (options_.background_pool == nullptr) options_.background_pool = options_.io_pool;
}

Status RocksDbKeyedStateBackend::Open() {
  // Left over by an attempt in the same place that died.
  RETURN_IF_ERROR(io::RemoveAll(options_.directory));
  const uint64_t budget = options_.memory_budget_bytes;
  RocksDbStore::Options store;
  store.directory = options_.directory;
  store.memtable_bytes = std::clamp<uint64_t>(budget / 8, 2 << 20, 32 << 20);
  store.block_cache_bytes = std::max<uint64_t>(
      in_memory_ ? std::min<uint64_t>(budget / 8, 8 << 20) : budget / 4, 1 << 20);
  const uint64_t taken = store.memtable_bytes + store.block_cache_bytes;
  cache_budget_ = in_memory_ ? UINT64_MAX / 4 : (budget > taken ? budget - taken : 0);
  ASSIGN_OR_RETURN(RestoredKeyedState restored,
                   RestoreKeyedState(store, options_.key_groups, options_.max_parallelism,
                                     options_.restore, options_.io_pool));
  store_ = std::move(restored.store);
  key_serializer_ = std::move(restored.header.key_serializer);
  confirmed_ = std::move(restored.uploaded);
  table_checksums_.Add(restored.table_checksums);
  for (snapshot::StateMetaInfo& info : restored.header.states) {
    State state;
    state.family = store_->FindColumnFamily(info.name);
    state.info = std::move(info);
    const std::unique_ptr<rocksdb::Iterator> it(
        store_->db()->NewIterator(rocksdb::ReadOptions(), state.family));
    it->SeekToFirst();
    state.empty = !it->Valid();
    RETURN_IF_ERROR(FromRocksDb(it->status(), "reading state " + state.info.name));
    states_.push_back(std::move(state));
  }
  return OkStatus();
}

RocksDbKeyedStateBackend::~RocksDbKeyedStateBackend() {
  {
    for (auto& [number, snapshot] : cancellations_) *snapshot.second = true;
    std::unique_lock lock(mutex_);
    queue_.clear();
    changed_.wait(lock, [this] { return !flush_running_ && work_running_ == 0; });
  }
  store_.reset();
  IgnoreError(io::RemoveAll(options_.directory), "the owner of the work directory removes it, too");
}

std::string RocksDbKeyedStateBackend::WithOperator(const std::string& what) const {
  return "keyed state of operator \"" + options_.operator_name + "\" (" + options_.operator_id +
         "): " + what;
}

void RocksDbKeyedStateBackend::Throw(const std::string& what) const {
  throw std::runtime_error(WithOperator(what));
}

void RocksDbKeyedStateBackend::ThrowIfFailed() const {
  if (!failure_.ok()) [[unlikely]]
    Throw(Message(failure_));
}

void RocksDbKeyedStateBackend::CheckKeyType(const StateDescription& description) {
  if (key_serializer_.empty()) key_serializer_ = description.key_snapshot;
  Refuse(snapshot::KeyConflict(key_serializer_, description.key_snapshot));
}

void RocksDbKeyedStateBackend::CheckSameState(const State& restored,
                                              const StateDescription& description,
                                              const snapshot::StateMetaInfo& wanted) const {
  Refuse(snapshot::StateConflict(restored.info, key_serializer_, wanted, description.key_snapshot));
}

void RocksDbKeyedStateBackend::Refuse(const std::optional<snapshot::TypeConflict>& conflict) const {
  if (!conflict.has_value()) return;
  throw StateTypeError(snapshot::TextOf(*conflict, options_.operator_name, options_.operator_uid));
}

void RocksDbKeyedStateBackend::CheckTypesAreReadable(const StateDescription& description) const {
  for (const std::string* serializer :
       {&description.key_snapshot, &description.namespace_snapshot, &description.value_snapshot}) {
    const Status readable = snapshot::SerializerSnapshotClasses(*serializer).status();
    if (readable.ok()) continue;
    Throw("the types of state \"" + description.name +
          "\" cannot be kept, because what Snapshot() of their TypeSerializer returns is no " +
          "serializer snapshot: " + Message(readable));
  }
}

int RocksDbKeyedStateBackend::RegisterState(const StateDescription& description) {
  CheckTypesAreReadable(description);
  CheckKeyType(description);
  const snapshot::StateMetaInfo info = graph::InfoOf(description);
  for (size_t i = 0; i < states_.size(); ++i) {
    if (states_[i].info.name != description.name) continue;
    CheckSameState(states_[i], description, info);
    if (states_[i].registered) Throw("state \"" + description.name + "\" is declared twice");
    states_[i].registered = true;
    return static_cast<int>(i);
  }
  State state;
  state.info = info;
  state.registered = true;
  auto family = store_->CreateColumnFamily(description.name);
  if (!family.ok()) Throw(Message(family.status()));
  state.family = *family;
  states_.push_back(std::move(state));
  return static_cast<int>(states_.size()) - 1;
}

void RocksDbKeyedStateBackend::RegisterTable(StateTableBase* table) {
  // A snapshot that is being swept must not meet a table that was not frozen for it.
  FinishSweep();
  tables_.push_back(table);
  if (!IsQueue(*table)) ++value_tables_;
}

bool RocksDbKeyedStateBackend::IsQueue(const StateTableBase& table) const {
  return states_[static_cast<size_t>(table.state_id())].info.kind ==
         snapshot::StateKind::kPriorityQueue;
}

uint64_t RocksDbKeyedStateBackend::CacheShareBytes(const StateTableBase* /*table*/) const {
  uint64_t timers = 0;
  for (const StateTableBase* t : tables_) {
    if (IsQueue(*t)) timers += t->MemoryBytes();
  }
  return cache_budget_ <= timers ? 0
                                 : (cache_budget_ - timers) / std::max<size_t>(value_tables_, 1);
}

void RocksDbKeyedStateBackend::MultiGet(int state_id, const std::vector<std::string_view>& keys,
                                        std::vector<std::optional<std::string>>* values) {
  ThrowIfFailed();
  const State& state = states_[static_cast<size_t>(state_id)];
  const size_t n = keys.size();
  values->assign(n, std::nullopt);
  slices_.resize(n);
  statuses_.resize(n);
  if (pinned_.size() < n) pinned_ = std::vector<rocksdb::PinnableSlice>(n);
  for (size_t i = 0; i < n; ++i) slices_[i] = ToSlice(keys[i]);
  store_->db()->MultiGet(rocksdb::ReadOptions(), state.family, n, slices_.data(), pinned_.data(),
                         statuses_.data());
  for (size_t i = 0; i < n; ++i) {
    if (statuses_[i].ok())
      (*values)[i].emplace(pinned_[i].data(), pinned_[i].size());
    else if (!statuses_[i].IsNotFound()) {
      Throw("reading state \"" + state.info.name + "\": " + statuses_[i].ToString());
    }
    pinned_[i].Reset();
  }
}

void RocksDbKeyedStateBackend::Scan(
    int state_id, const std::function<void(std::string_view key, std::string_view value)>& visit) {
  WaitForFlushes(0);
  ThrowIfFailed();
  const State& state = states_[static_cast<size_t>(state_id)];
  rocksdb::ReadOptions read;
  read.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> it(store_->db()->NewIterator(read, state.family));
  for (it->SeekToFirst(); it->Valid(); it->Next()) visit(ToView(it->key()), ToView(it->value()));
  if (!it->status().ok()) {
    Throw("reading state \"" + state.info.name + "\": " + it->status().ToString());
  }
}

uint64_t RocksDbKeyedStateBackend::EstimatedRows(int state_id) const {
  uint64_t rows = 0;
  const bool known = store_->db()->GetIntProperty(states_[static_cast<size_t>(state_id)].family,
                                                  rocksdb::DB::Properties::kEstimateNumKeys, &rows);
  return known ? rows : UINT64_MAX;
}

EncodedRows& RocksDbKeyedStateBackend::RowsOf(StateTableBase* table,
                                              std::vector<StateRows>& rows) const {
  rocksdb::ColumnFamilyHandle* const family =
      states_[static_cast<size_t>(table->state_id())].family;
  if (rows.empty() || rows.back().family != family) {
    rows.emplace_back();
    rows.back().family = family;
  }
  std::vector<EncodedRows>& sets = rows.back().sets;
  if (sets.empty() || sets.back().arena.size() >= kRowSetBytes) sets.emplace_back();
  return sets.back();
}

void RocksDbKeyedStateBackend::StartFlush(StateTableBase* table) {
  ThrowIfFailed();
  FinishSweep();
  WaitForFlushes(1);
  table->Freeze();
  FlushJob job;
  while (!table->Sweep(kSlotsPerStep, RowsOf(table, job.rows))) {
  }
  Submit(std::move(job), {table});
}

void RocksDbKeyedStateBackend::FlushTable(StateTableBase* table) {
  StartFlush(table);
  WaitForFlushes(0);
  ThrowIfFailed();
}

StatusOr<std::string> RocksDbKeyedStateBackend::Header() const {
  snapshot::KeyedStateHeader header;
  header.key_serializer = key_serializer_;
  for (const State& state : states_) header.states.push_back(state.info);
  return snapshot::SerializeKeyedStateHeader(header);
}

void RocksDbKeyedStateBackend::BeginSnapshot(const KeyedSnapshotRequest& request,
                                             SnapshotCallback done) {
  ThrowIfFailed();
  FinishSweep();
  SnapshotJob job;
  job.number = next_snapshot_++;
  job.request = request;
  callbacks_[job.number] = std::move(done);
  cancellations_[job.number] = {request.checkpoint_id, job.cancelled};
  if (states_.empty()) {
    Report({job.number, request.checkpoint_id, KeyedSnapshotResult{}, {}});
    return;
  }
  auto header = Header();
  if (!header.ok()) {
    Report({job.number, request.checkpoint_id, header.status(), {}});
    return;
  }
  job.header = std::move(header).value();
  for (const State& state : states_) job.states.push_back(state.info.name);
  if (!request.full) job.reusable = ReusableFiles();
  WaitForFlushes(1);
  for (StateTableBase* table : tables_) table->Freeze();
  SweepInProgress sweep;
  sweep.job = std::move(job);
  sweep_ = std::move(sweep);
}

UploadedFiles RocksDbKeyedStateBackend::ReusableFiles() const {
  UploadedFiles files = confirmed_;
  // A later checkpoint that may be complete by now, and has the file elsewhere, lets the confirmed
  // one's copy be deleted.
  for (const auto& [checkpoint_id, uploaded] : uploaded_) {
    for (const auto& [name, file] : uploaded) {
      const auto it = files.find(name);
      if (it != files.end() && it->second.handle.path != file.handle.path) files.erase(it);
    }
  }
  return files;
}

bool RocksDbKeyedStateBackend::AdvanceSnapshot() {
  if (!sweep_.has_value()) return false;
  if (sweep_->table < tables_.size()) {
    StateTableBase* const table = tables_[sweep_->table];
    if (table->Sweep(kSlotsPerStep, RowsOf(table, sweep_->rows))) ++sweep_->table;
    if (sweep_->table < tables_.size()) return true;
  }
  FlushJob job;
  job.rows = std::move(sweep_->rows);
  job.snapshot = std::move(sweep_->job);
  sweep_.reset();
  Submit(std::move(job), tables_);
  return false;
}

void RocksDbKeyedStateBackend::FinishSweep() {
  while (AdvanceSnapshot()) {
  }
}

void RocksDbKeyedStateBackend::Submit(FlushJob job, std::vector<StateTableBase*> tables) {
  pending_flushes_.push_back({std::move(tables)});
  for (const StateRows& rows : job.rows) {
    if (std::all_of(rows.sets.begin(), rows.sets.end(),
                    [](const EncodedRows& set) { return set.rows.empty(); })) {
      continue;
    }
    for (State& state : states_) {
      if (state.family == rows.family) state.empty = false;
    }
  }
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(job));
    if (flush_running_) return;
    flush_running_ = true;
  }
  RunOn(options_.flush_pool, [this] { RunNextFlush(); });
}

void RocksDbKeyedStateBackend::WaitForFlushes(size_t outstanding) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return pending_flushes_.size() <= outstanding + flushes_done_; });
  }
  TakeFlushes();
}

void RocksDbKeyedStateBackend::TakeFlushes() {
  size_t flushed = 0;
  {
    std::lock_guard lock(mutex_);
    std::swap(flushed, flushes_done_);
    if (failure_.ok()) failure_ = flush_failure_;
  }
  for (; flushed > 0; --flushed) {
    const PendingFlush flush = std::move(pending_flushes_.front());
    pending_flushes_.pop_front();
    if (!failure_.ok()) continue;
    for (StateTableBase* table : flush.tables) table->OnFlushed();
  }
}

void RocksDbKeyedStateBackend::TakeOutcomes() {
  std::vector<SnapshotOutcome> outcomes;
  {
    std::lock_guard lock(mutex_);
    outcomes.swap(outcomes_);
  }
  for (SnapshotOutcome& outcome : outcomes) {
    cancellations_.erase(outcome.number);
    if (outcome.result.ok() && !outcome.uploaded.empty()) {
      uploaded_[outcome.checkpoint_id] = std::move(outcome.uploaded);
    }
    const auto it = callbacks_.find(outcome.number);
    if (it == callbacks_.end()) continue;
    const SnapshotCallback callback = std::move(it->second);
    callbacks_.erase(it);
    callback(std::move(outcome.result));
  }
}

void RocksDbKeyedStateBackend::PostCompletions() {
  options_.post([this, alive = std::weak_ptr<Liveness>(alive_)] {
    if (alive.expired()) return;
    TakeFlushes();
    TakeOutcomes();
  });
}

void RocksDbKeyedStateBackend::NotifyCheckpointComplete(int64_t checkpoint_id) {
  const auto it = uploaded_.find(checkpoint_id);
  if (it == uploaded_.end() || checkpoint_id < confirmed_checkpoint_) return;
  confirmed_ = std::move(it->second);
  confirmed_checkpoint_ = checkpoint_id;
  uploaded_.erase(uploaded_.begin(), std::next(it));
}

void RocksDbKeyedStateBackend::NotifyCheckpointAborted(int64_t checkpoint_id) {
  uploaded_.erase(checkpoint_id);
  for (auto& [number, snapshot] : cancellations_) {
    if (snapshot.first == checkpoint_id) *snapshot.second = true;
  }
}

}  // namespace flink::taskmanager
