"""Made by `scripts/protos` from the .proto files beside; never edited by hand."""
