#pragma once

/// SQLite with errors as exceptions, and no more of it than the index of records needs.

#include <cstdint>
#include <stdexcept>
#include <string>

struct sqlite3;
struct sqlite3_stmt;

namespace tenon::records {

/// What SQLite said. Inside the two floors that use the index; users see errors with codes.
class SqliteError : public std::runtime_error {
 public:
  SqliteError(int code, const std::string& what) : std::runtime_error(what), code_(code) {}
  /// The file is no database, or damaged: it can be made anew.
  bool is_damage() const;

 private:
  int code_;
};

class Sqlite {
 public:
  enum class Mode : std::uint8_t {
    kWrite,      ///< make it where there is none
    kRead,       ///< beside writers
    kImmutable,  ///< in a folder that nobody can write
  };
  /// Waits up to `busy_ms` where another connection holds a lock.
  Sqlite(const std::string& path, Mode mode, int busy_ms);
  ~Sqlite();
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  /// Runs statements without results.
  void run(const char* sql);
  /// Whether the last statement changed any row.
  bool has_changed() const;
  sqlite3* handle() const { return db_; }

 private:
  sqlite3* db_ = nullptr;
};

/// A prepared statement; parameters and columns count from 1 and 0, as in SQLite.
class Statement {
 public:
  Statement(Sqlite& db, const char* sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  void bind(int parameter, std::int64_t value);
  void bind(int parameter, double value);
  void bind(int parameter, const std::string& text);
  /// True while there is a row.
  bool step();
  void reset();
  std::int64_t integer(int column) const;
  double number(int column) const;
  std::string text(int column) const;

 private:
  void check(int code) const;
  Sqlite& db_;
  sqlite3_stmt* statement_ = nullptr;
};

}  // namespace tenon::records
