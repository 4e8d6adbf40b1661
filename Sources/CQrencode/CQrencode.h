/// libqrencode's header, from wherever this system has it. Only `qtun` imports this module.
#ifndef QTUN_CQRENCODE_H
#define QTUN_CQRENCODE_H

#include <qrencode.h>

#endif
