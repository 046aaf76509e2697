#pragma once

/// The places of a function where data decide an index.

#include "tenon/ir/function.h"

namespace tenon::te {

/// Gives each `checked_index` of a load or store its number, and describes the access in the
/// attribute index_site_<number>: "buffer\ndimension\nfile:line\nread" (or write). A store and the
/// load of the same element in its value share the check, and its number.
Stmt number_index_sites(const Stmt& body, Attrs* attrs);

}  // namespace tenon::te
