#include "operator_cxx/proposal_annotator/proposal_annotator_entries.h"
