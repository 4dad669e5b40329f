//go:build tools

// Package servers pins FerretDB, the stand-in for MongoDB of tests that kill and restart their server.
package servers

import _ "github.com/FerretDB/FerretDB/cmd/ferretdb"
