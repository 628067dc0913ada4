// Small files, whole.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace kokuin {

/// The content of a file of at most `limit` octets; the error names the path and why.
Result<Bytes> read_file(const std::string& path, std::size_t limit = 16U << 20U);
/// Writes a file so that a reader sees the old content or the new one, never half of it (temporary file,
/// fsync, rename, fsync of the folder). `mode`: permission bits. What stands there and is no regular file (a
/// device, a pipe, a link) is written into, never replaced.
Done write_file(const std::string& path, View content, unsigned mode = 0644);

}  // namespace kokuin
