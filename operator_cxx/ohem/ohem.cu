#include "operator_cxx/ohem/ohem_entries.h"
