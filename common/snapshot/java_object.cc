#include "common/snapshot/java_object.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace flink::snapshot {
namespace {

constexpr int32_t kStreamHead = static_cast<int32_t>(0xACED0005u);
constexpr int32_t kFirstHandle = 0x7E0000;
constexpr int kMaxDepth = 32;

constexpr uint8_t kNull = 0x70;
constexpr uint8_t kReference = 0x71;
constexpr uint8_t kClassDescription = 0x72;
constexpr uint8_t kObject = 0x73;
constexpr uint8_t kString = 0x74;
constexpr uint8_t kEndOfBlock = 0x78;
constexpr uint8_t kEnum = 0x7E;

/// Class flags: fields are written, and by default.
constexpr uint8_t kSerializable = 0x02;
constexpr uint8_t kCustomWrite = 0x01;

struct ClassDescription {
  uint8_t flags = 0;
  /// Java's type letters.
  std::vector<char> fields;
  const ClassDescription* parent = nullptr;
};
using ClassPointer = const ClassDescription*;

/// Bytes of a primitive field; 0 for objects and arrays.
size_t PrimitiveSize(char type) {
  switch (type) {
    case 'Z':
    case 'B':
      return 1;
    case 'C':
    case 'S':
      return 2;
    case 'I':
    case 'F':
      return 4;
    case 'J':
    case 'D':
      return 8;
    default:
      return 0;
  }
}

class ObjectWalker {
 public:
  explicit ObjectWalker(JavaReader& reader) : reader_(reader) {}

  Status Walk() {
    RETURN_IF_ERROR(reader_.ExpectI32(kStreamHead, "head of a Java object stream"));
    return SkipElement(0);
  }

 private:
  /// Ends the walk successfully at an element that is not understood.
  Status GiveUp() {
    gave_up_ = true;
    return reader_.ReadBytes(reader_.remaining(), "rest of a Java object stream").status();
  }

  Status SkipElement(int depth) {
    const size_t at = reader_.offset();
    if (depth > kMaxDepth) return reader_.Error(at, "Java objects nest deeper than {}", kMaxDepth);
    ASSIGN_OR_RETURN(const uint8_t tag, reader_.ReadU8("Java object"));
    switch (tag) {
      case kNull:
        return OkStatus();
      case kReference:
        return reader_.ReadI32("reference to a Java object").status();
      case kString:
        handles_.push_back(nullptr);
        return reader_.ReadUtf("Java string").status();
      case kEnum: {
        RETURN_IF_ERROR(ReadClass(depth + 1).status());
        if (gave_up_) return OkStatus();
        handles_.push_back(nullptr);
        return SkipElement(depth + 1);
      }
      case kObject: {
        ASSIGN_OR_RETURN(const ClassPointer type, ReadClass(depth + 1));
        if (gave_up_) return OkStatus();
        handles_.push_back(nullptr);
        return SkipFields(type, depth);
      }
      default:
        return GiveUp();
    }
  }

  /// Values of a class and, before them, of its parents.
  Status SkipFields(ClassPointer type, int depth) {
    if (type == nullptr || gave_up_) return OkStatus();
    // A damaged class may be its own parent.
    if (depth > kMaxDepth) {
      return reader_.Error(reader_.offset(), "Java objects nest deeper than {}", kMaxDepth);
    }
    RETURN_IF_ERROR(SkipFields(type->parent, depth + 1));
    if ((type->flags & kSerializable) == 0 || (type->flags & kCustomWrite) != 0) {
      return GiveUp();
    }
    for (const char field : type->fields) {
      if (gave_up_) return OkStatus();
      const size_t size = PrimitiveSize(field);
      RETURN_IF_ERROR(size > 0 ? reader_.ReadBytes(size, "field of a Java object").status()
                               : SkipElement(depth + 1));
    }
    return OkStatus();
  }

  StatusOr<ClassPointer> ReadClass(int depth) {
    const size_t at = reader_.offset();
    if (depth > kMaxDepth) return reader_.Error(at, "Java classes nest deeper than {}", kMaxDepth);
    ASSIGN_OR_RETURN(const uint8_t tag, reader_.ReadU8("Java class"));
    if (tag == kNull) return ClassPointer{nullptr};
    if (tag == kReference) {
      ASSIGN_OR_RETURN(const int32_t handle, reader_.ReadI32("reference to a Java class"));
      const int64_t index = int64_t{handle} - kFirstHandle;
      if (index < 0 || index >= static_cast<int64_t>(handles_.size()) ||
          handles_[static_cast<size_t>(index)] == nullptr) {
        return reader_.Error(at, "expected a reference to a Java class, found {}", handle);
      }
      return handles_[static_cast<size_t>(index)];
    }
    if (tag != kClassDescription) {
      RETURN_IF_ERROR(GiveUp());
      return ClassPointer{nullptr};
    }
    return ReadClassDescription(depth);
  }

  StatusOr<ClassPointer> ReadClassDescription(int depth) {
    RETURN_IF_ERROR(reader_.ReadUtf("name of a Java class").status());
    RETURN_IF_ERROR(reader_.ReadI64("version of a Java class").status());
    ClassDescription* type = classes_.emplace_back(std::make_unique<ClassDescription>()).get();
    handles_.push_back(type);
    ASSIGN_OR_RETURN(type->flags, reader_.ReadU8("flags of a Java class"));
    ASSIGN_OR_RETURN(const uint16_t fields, reader_.ReadU16("number of fields of a Java class"));
    for (uint16_t i = 0; i < fields; ++i) {
      ASSIGN_OR_RETURN(const uint8_t letter, reader_.ReadU8("type of a field"));
      RETURN_IF_ERROR(reader_.ReadUtf("name of a field").status());
      type->fields.push_back(static_cast<char>(letter));
      if (letter == 'L' || letter == '[') RETURN_IF_ERROR(SkipElement(depth + 1));
      if (gave_up_) return ClassPointer{type};
    }
    ASSIGN_OR_RETURN(const uint8_t end, reader_.ReadU8("end of a Java class"));
    if (end != kEndOfBlock) {
      RETURN_IF_ERROR(GiveUp());
      return ClassPointer{type};
    }
    ASSIGN_OR_RETURN(type->parent, ReadClass(depth + 1));
    return ClassPointer{type};
  }

  JavaReader& reader_;
  std::vector<std::unique_ptr<ClassDescription>> classes_;
  /// What references count: classes, and null for everything else.
  std::vector<ClassPointer> handles_;
  bool gave_up_ = false;
};

}  // namespace

Status SkipJavaObjectStream(JavaReader& reader) { return ObjectWalker(reader).Walk(); }

}  // namespace flink::snapshot
