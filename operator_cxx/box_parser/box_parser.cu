#include "operator_cxx/box_parser/box_parser_entries.h"
