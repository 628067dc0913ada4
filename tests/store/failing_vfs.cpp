#include "tests/store/failing_vfs.h"

#include <sqlite3.h>

#include <condition_variable>
#include <cstring>
#include <mutex>

namespace kokuin::store::test {
namespace {

std::mutex plan_mutex;
std::condition_variable healed;
bool planned = false;
FailPlan plan;
int failed = 0;

/// How this operation on a file is to fail.
FailPlan::How order(const char* path) {
    std::unique_lock lock(plan_mutex);
    if (!planned) return FailPlan::How::none;
    if (!plan.only.empty() && (!path || !std::strstr(path, plan.only.c_str()))) return FailPlan::How::none;
    if (plan.skip > 0) {
        --plan.skip;
        return FailPlan::How::none;
    }
    if (failed > 0 && !plan.lasting) return FailPlan::How::none;
    ++failed;
    if (plan.how != FailPlan::How::hang) return plan.how;
    healed.wait(lock, [] { return !planned; });
    return FailPlan::How::none;
}

sqlite3_vfs* real_vfs = nullptr;

struct File {
    sqlite3_file base;
    bool is_log;
    bool counts;
    const char* path;  // SQLite's, as long as the file is open
    // The real file follows.
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
File* of(sqlite3_file* file) {
    return reinterpret_cast<File*>(file);
}
sqlite3_file* real(sqlite3_file* file) {
    return of(file)->real();
}

int fail(sqlite3_file* file, FailPlan::How how, int code) {
    if (how == FailPlan::How::full) return SQLITE_FULL;
    if (how == FailPlan::How::lose_log && of(file)->is_log) real(file)->pMethods->xTruncate(real(file), 0);
    return code;
}

int x_write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
    const auto how = of(file)->counts ? order(of(file)->path) : FailPlan::How::none;
    if (how == FailPlan::How::full) real(file)->pMethods->xWrite(real(file), data, size / 2, offset);
    if (how == FailPlan::How::none || how == FailPlan::How::after) {
        const int code = real(file)->pMethods->xWrite(real(file), data, size, offset);
        if (how == FailPlan::How::none || code != SQLITE_OK) return code;
    }
    return fail(file, how, SQLITE_IOERR_WRITE);
}
int x_truncate(sqlite3_file* file, sqlite3_int64 size) {
    const auto how = of(file)->counts ? order(of(file)->path) : FailPlan::How::none;
    if (how == FailPlan::How::none || how == FailPlan::How::after) {
        const int code = real(file)->pMethods->xTruncate(real(file), size);
        if (how == FailPlan::How::none || code != SQLITE_OK) return code;
    }
    return fail(file, how, SQLITE_IOERR_TRUNCATE);
}
int x_sync(sqlite3_file* file, int flags) {
    const auto how = of(file)->counts ? order(of(file)->path) : FailPlan::How::none;
    if (how == FailPlan::How::none || how == FailPlan::How::after) {
        const int code = real(file)->pMethods->xSync(real(file), flags);
        if (how == FailPlan::How::none || code != SQLITE_OK) return code;
    }
    return fail(file, how, SQLITE_IOERR_FSYNC);
}

int x_close(sqlite3_file* file) {
    return real(file)->pMethods->xClose(real(file));
}
int x_read(sqlite3_file* file, void* data, int size, sqlite3_int64 offset) {
    return real(file)->pMethods->xRead(real(file), data, size, offset);
}
int x_file_size(sqlite3_file* file, sqlite3_int64* size) {
    return real(file)->pMethods->xFileSize(real(file), size);
}
int x_lock(sqlite3_file* file, int level) {
    return real(file)->pMethods->xLock(real(file), level);
}
int x_unlock(sqlite3_file* file, int level) {
    return real(file)->pMethods->xUnlock(real(file), level);
}
int x_check(sqlite3_file* file, int* held) {
    return real(file)->pMethods->xCheckReservedLock(real(file), held);
}
int x_control(sqlite3_file* file, int op, void* argument) {
    return real(file)->pMethods->xFileControl(real(file), op, argument);
}
int x_sector(sqlite3_file* file) {
    return real(file)->pMethods->xSectorSize(real(file));
}
int x_traits(sqlite3_file* file) {
    return real(file)->pMethods->xDeviceCharacteristics(real(file));
}
int x_map(sqlite3_file* file, int page, int size, int extend, void volatile** memory) {
    return real(file)->pMethods->xShmMap(real(file), page, size, extend, memory);
}
int x_shm_lock(sqlite3_file* file, int offset, int count, int flags) {
    return real(file)->pMethods->xShmLock(real(file), offset, count, flags);
}
void x_barrier(sqlite3_file* file) {
    real(file)->pMethods->xShmBarrier(real(file));
}
int x_unmap(sqlite3_file* file, int remove) {
    return real(file)->pMethods->xShmUnmap(real(file), remove);
}

const sqlite3_io_methods methods = {
    2,         x_close,  x_read,   x_write, x_truncate, x_sync,    x_file_size, x_lock,  x_unlock, x_check,
    x_control, x_sector, x_traits, x_map,   x_shm_lock, x_barrier, x_unmap,     nullptr, nullptr};

int x_open(sqlite3_vfs*, sqlite3_filename name, sqlite3_file* file, int flags, int* out_flags) {
    File* mine = of(file);
    std::memset(mine, 0, sizeof *mine);
    mine->path = name;
    mine->is_log = (flags & SQLITE_OPEN_WAL) != 0;
    mine->counts = (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
    const int code = real_vfs->xOpen(real_vfs, name, mine->real(), flags, out_flags);
    if (mine->real()->pMethods) mine->base.pMethods = &methods;
    return code;
}

}  // namespace

void install_failing_vfs() {
    static sqlite3_vfs shim;
    static std::once_flag once;
    std::call_once(once, [] {
        real_vfs = sqlite3_vfs_find(nullptr);
        shim = *real_vfs;  // everything but opening is the real one's business
        shim.zName = "failing";
        shim.szOsFile = static_cast<int>(sizeof(File)) + real_vfs->szOsFile;
        shim.xOpen = x_open;
        shim.pNext = nullptr;
        sqlite3_vfs_register(&shim, 1);
    });
}

void plan_failure(const FailPlan& wanted) {
    const std::lock_guard lock(plan_mutex);
    plan = wanted;
    planned = true;
    failed = 0;
}

int heal() {
    const std::lock_guard lock(plan_mutex);
    planned = false;
    healed.notify_all();
    return failed;
}

}  // namespace kokuin::store::test
