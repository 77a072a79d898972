#include "operator_cxx/proposal/proposal_entries.h"
