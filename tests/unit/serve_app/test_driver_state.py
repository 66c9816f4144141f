from serve_app.driver_state import DriverReport, DriverState


def test_printed_reports_are_read_back(capsys):
    reports = [
        DriverReport(state=DriverState.ACCEPTED, url="http://127.0.0.1:1/a{b}"),
        DriverReport(state=DriverState.ACCEPTED, chosen_precision="int8"),
        DriverReport(state=DriverState.READY),
    ]
    for report in reports:
        report.print()
    assert DriverReport.read_all(capsys.readouterr().out) == reports


def test_other_output_is_no_report():
    text = "\n".join(
        [
            "READY",
            '{"state":"rea',
            '{"state":"unheard of"}',
            '{"state":"ready","pid":1}',
            '{"level":"info","state":"ready"}',
            "[2] {}",
        ]
    )
    assert DriverReport.read_all(text) == []


def test_report_is_read_after_output_without_line_end():
    text = 'Loading: 100 %{"state":"stopping"}\nerror: x'
    assert [report.state for report in DriverReport.read_all(text)] == [DriverState.STOPPING]
