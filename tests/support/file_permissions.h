// Lets a test see the permissions of files also when root runs it.
#ifndef MIRAGE_TESTS_SUPPORT_FILE_PERMISSIONS_H_
#define MIRAGE_TESTS_SUPPORT_FILE_PERMISSIONS_H_

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace mirage::test_support {

// While one lives, this thread is bound by the modes of files: root's right to pass over
// them is put aside.
class UnderFilePermissions {
 public:
  UnderFilePermissions() {
    if (syscall(SYS_capget, &header_, before_) != 0) return;
    __user_cap_data_struct less[2] = {before_[0], before_[1]};
    constexpr uint32_t kPassOver =
        (uint32_t{1} << CAP_DAC_OVERRIDE) | (uint32_t{1} << CAP_DAC_READ_SEARCH);
    less[0].effective &= ~kPassOver;
    holds_ = syscall(SYS_capset, &header_, less) == 0;
  }
  ~UnderFilePermissions() {
    if (holds_) syscall(SYS_capset, &header_, before_);
  }
  UnderFilePermissions(const UnderFilePermissions&) = delete;
  UnderFilePermissions& operator=(const UnderFilePermissions&) = delete;

  // Whether it could be done; a test that needs it skips otherwise, and says so.
  bool holds() const { return holds_; }

 private:
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct before_[2] = {};
  bool holds_ = false;
};

}  // namespace mirage::test_support

#endif  // MIRAGE_TESTS_SUPPORT_FILE_PERMISSIONS_H_
