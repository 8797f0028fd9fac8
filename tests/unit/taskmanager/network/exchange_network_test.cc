#include "taskmanager/network/exchange_network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <mutex>

#include "common/io/temp_directory.h"
#include "taskmanager/network/frame.h"

namespace flink::taskmanager {
namespace {

using testing::HasSubstr;

constexpr uint64_t kChannel = 7;

StreamElement Numbers(int64_t first, int count) {
  auto batch = std::make_unique<Batch<int64_t>>();
  for (int i = 0; i < count; ++i) batch->records.push_back(first + i);
  return StreamElement::Records(std::move(batch));
}

struct Endpoint {
  Endpoint(const std::string& id, const std::string& host, const std::string& token = "secret") {
    directory = io::TempDirectory::Create("exchange").value();
    ExchangeNetwork::Options options;
    options.self = {"job", 1, token, id};
    options.bind_address = "127.0.0.1";
    options.public_address = host;
    options.work_directory = directory.path();
    network = std::make_unique<ExchangeNetwork>(options, [this](const Status& status) {
      std::lock_guard lock(mutex);
      lost = Message(status);
      changed.notify_all();
    });
    address = network->Listen().value();
  }
  std::string WaitForLoss() {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::seconds(10), [this] { return !lost.empty(); });
    return lost;
  }
  io::TempDirectory directory;
  std::mutex mutex;
  std::condition_variable changed;
  std::string lost;
  std::string address;
  std::unique_ptr<ExchangeNetwork> network;
};

class ExchangeNetworkTest : public testing::TestWithParam<const char*> {
 protected:
  /// One channel from a_ to b_.
  void Connect() {
    credit_ = std::make_shared<OutputCredit>(ChannelWindowBytes(1), producer_);
    gate_->AddChannel();
    b_.network->RegisterInput(kChannel, gate_, 0);
    output_ = a_.network->MakeOutput("b", b_.address, kChannel, credit_);
    a_.network->Start();
    b_.network->Start();
  }
  StreamElement Take() {
    for (;;) {
      if (auto polled = gate_->Poll()) return std::move(polled->element);
      consumer_->Arm();
      if (!gate_->HasReady()) {
        consumer_->mailbox().WaitAndRun(Mailbox::Time::clock::now() + std::chrono::seconds(10));
      }
      consumer_->Disarm();
    }
  }
  void AwaitCredit() {
    while (!producer_->OutputsAvailable()) {
      producer_->Arm();
      if (!producer_->OutputsAvailable()) producer_->mailbox().WaitAndRun();
      producer_->Disarm();
    }
  }
  Endpoint a_{"a", GetParam()};
  Endpoint b_{"b", GetParam()};
  std::shared_ptr<TaskInbox> producer_ = std::make_shared<TaskInbox>();
  std::shared_ptr<TaskInbox> consumer_ = std::make_shared<TaskInbox>();
  std::shared_ptr<InputGate> gate_ = std::make_shared<InputGate>(consumer_);
  std::shared_ptr<OutputCredit> credit_;
  std::unique_ptr<OutputChannel> output_;
};

// A host name that is not a loopback name selects TCP.
INSTANTIATE_TEST_SUITE_P(Transports, ExchangeNetworkTest, testing::Values("localhost", "0.0.0.0"));

TEST_P(ExchangeNetworkTest, ElementsOfAllKindsArriveInOrder) {
  Connect();
  auto barrier = std::make_shared<CheckpointBarrier>();
  barrier->checkpoint_id = 3;
  barrier->timestamp_ms = 99;
  barrier->target = "target";
  output_->Send(Numbers(0, 100));
  output_->Send(StreamElement::Watermark(-5));
  output_->Send(StreamElement::Idleness(true));
  output_->Send(StreamElement::Idleness(false));
  output_->Send(StreamElement::Barrier(barrier));
  output_->Send(StreamElement::EndOfData());
  StreamElement e = Take();
  ASSERT_EQ(StreamElement::Kind::kEncodedBatch, e.kind);
  BufferReader in(e.bytes.view());
  const auto batch = Batch<int64_t>::Decode(in);
  EXPECT_EQ(99, static_cast<Batch<int64_t>&>(*batch).records.at(99));
  e = Take();
  EXPECT_EQ(StreamElement::Kind::kWatermark, e.kind);
  EXPECT_EQ(-5, e.value);
  EXPECT_EQ(StreamElement::Kind::kIdle, Take().kind);
  EXPECT_EQ(StreamElement::Kind::kActive, Take().kind);
  e = Take();
  ASSERT_EQ(StreamElement::Kind::kBarrier, e.kind);
  EXPECT_EQ(3, e.barrier->checkpoint_id);
  EXPECT_EQ(99, e.barrier->timestamp_ms);
  EXPECT_EQ("target", e.barrier->target);
  EXPECT_EQ(StreamElement::Kind::kEndOfData, Take().kind);
}

TEST_P(ExchangeNetworkTest, AMillionRecordsFlowThroughABoundedWindow) {
  Connect();
  constexpr int kBatches = 1000;
  std::thread sender([&] {
    for (int i = 0; i < kBatches; ++i) {
      AwaitCredit();
      output_->Send(Numbers(i * 1000, 1000));
    }
  });
  int64_t next = 0;
  for (int i = 0; i < kBatches; ++i) {
    StreamElement e = Take();
    BufferReader in(e.bytes.view());
    const auto batch = Batch<int64_t>::Decode(in);
    for (const int64_t n : static_cast<Batch<int64_t>&>(*batch).records) ASSERT_EQ(next++, n);
  }
  sender.join();
}

TEST_P(ExchangeNetworkTest, ASenderWithoutAReaderRunsOutOfCredit) {
  Connect();
  int64_t sent = 0;
  while (producer_->OutputsAvailable()) sent += output_->Send(Numbers(0, 1024));
  EXPECT_GE(sent, ChannelWindowBytes(1));
  EXPECT_LE(sent, ChannelWindowBytes(1) + (32 << 10));
}

TEST_P(ExchangeNetworkTest, ALargeRecordBatchCrossesWhole) {
  Connect();
  output_->Send(Numbers(0, 1 << 20));
  StreamElement e = Take();
  EXPECT_EQ((size_t{1} << 23) + 5, e.bytes.size());
}

TEST_P(ExchangeNetworkTest, BothEndsLearnThatAPeerHasGone) {
  Connect();
  output_->Send(Numbers(0, 1));
  Take();
  b_.network->Shutdown();
  EXPECT_THAT(a_.WaitForLoss(), HasSubstr("lost connection to task executor b"));
}

TEST_P(ExchangeNetworkTest, AGoodbyeIsNoLoss) {
  Connect();
  output_->Send(Numbers(0, 1));
  Take();
  std::thread other([&] { b_.network->Finish(); });
  a_.network->Finish();
  other.join();
  EXPECT_EQ("", a_.lost);
  EXPECT_EQ("", b_.lost);
}

TEST_P(ExchangeNetworkTest, APeerThatFinishesEarlyIsNoLossForTheOther) {
  Connect();
  output_->Send(Numbers(0, 1));
  Take();
  b_.network->Finish();
  a_.network->Finish();
  EXPECT_EQ("", a_.lost);
}

TEST(ExchangeNetworkTokenTest, APeerWithAnotherTokenIsTurnedAway) {
  Endpoint a("a", "localhost", "other");
  Endpoint b("b", "localhost");
  auto inbox = std::make_shared<TaskInbox>();
  auto output =
      a.network->MakeOutput("b", b.address, kChannel, std::make_shared<OutputCredit>(100, inbox));
  a.network->Start();
  b.network->Start();
  EXPECT_THAT(a.WaitForLoss(), HasSubstr("lost connection to task executor b"));
  EXPECT_EQ("", b.lost);
}

class RawPeer {
 public:
  explicit RawPeer(const std::string& address) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::strncpy(to.sun_path, address.substr(5).c_str(), sizeof to.sun_path - 1);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) std::abort();
    BufferWriter hello;
    BeginFrame(hello);
    EncodeHello({"job", 1, "secret", "raw"}, hello);
    FrameHeader header;
    header.type = FrameType::kHello;
    if (!FinishFrame(header, hello).ok()) std::abort();
    Send(hello.view());
  }
  ~RawPeer() { ::close(fd_); }
  void Send(std::string_view bytes) {
    if (::send(fd_, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
      std::abort();
  }

 private:
  const int fd_;
};

std::string WatermarkFrame(uint32_t sequence) {
  BufferWriter frame;
  FrameHeader header;
  header.type = FrameType::kWatermark;
  header.channel = kChannel;
  header.sequence = sequence;
  MakeControlFrame(header, frame);
  return std::string(frame.view());
}

TEST(ExchangeNetworkFaultTest, ADamagedFrameEndsTheConnection) {
  Endpoint b("b", "localhost");
  auto inbox = std::make_shared<TaskInbox>();
  auto gate = std::make_shared<InputGate>(inbox);
  gate->AddChannel();
  b.network->RegisterInput(kChannel, gate, 0);
  b.network->Start();
  RawPeer peer(b.address);
  std::string frame = WatermarkFrame(0);
  frame[9] ^= 1;
  peer.Send(frame);
  EXPECT_THAT(b.WaitForLoss(),
              HasSubstr("lost connection to task executor raw: checksum mismatch"));
  EXPECT_FALSE(gate->HasReady());
}

TEST(ExchangeNetworkFaultTest, AGapInAChannelEndsTheConnection) {
  Endpoint b("b", "localhost");
  auto inbox = std::make_shared<TaskInbox>();
  auto gate = std::make_shared<InputGate>(inbox);
  gate->AddChannel();
  b.network->RegisterInput(kChannel, gate, 0);
  b.network->Start();
  RawPeer peer(b.address);
  peer.Send(WatermarkFrame(0));
  peer.Send(WatermarkFrame(2));
  EXPECT_THAT(b.WaitForLoss(), HasSubstr("continues with frame 2 instead of 1"));
}

}  // namespace
}  // namespace flink::taskmanager
