from __future__ import annotations

import os
import stat

import pytest

from fer_lib.files import write_text


def test_a_file_has_the_usual_permissions_and_the_process_keeps_its_mask(tmp_path, monkeypatch):
    (tmp_path / "usual").touch()
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("another thread's file would go by this mask"))
    write_text(tmp_path / "written", "x")
    usual, written = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "written"))
    assert written == usual
